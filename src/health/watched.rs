//! What is kept of one component from one round to the next.

use std::sync::Arc;
use std::time::Duration;

use super::measures::measures;
use super::outlook::Outlook;
use super::predict::Watch;
use super::score::Evidence;
use super::settings::HealthSettings;

/// The signs of one component, and the outlook of the last round.
#[derive(Debug, Default)]
pub(super) struct Watched {
    watch: Watch,
    outlook: Option<Arc<Outlook>>,
}

impl Watched {
    /// Takes in one round: what `evidence` says `at`, since the first round, in that hour of the week.
    pub(super) fn round(
        &mut self,
        at: Duration,
        hour_of_week: u8,
        evidence: &Evidence,
        settings: &HealthSettings,
    ) {
        let measures = measures(evidence, settings);
        self.watch.update(at, hour_of_week, &measures, &settings.predict);
        self.outlook = self.watch.outlook(&settings.predict).map(Arc::new);
    }

    /// What followed from the last round.
    pub(super) fn outlook(&self) -> Option<Arc<Outlook>> {
        self.outlook.clone()
    }
}
