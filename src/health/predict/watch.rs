use std::time::Duration;

use super::outlook::{Outlook, VitalSign};
use super::settings::PredictSettings;

/// What was measured of one sign at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::health) struct Measure {
    pub(in crate::health) sign: VitalSign,
    pub(in crate::health) value: f64,
    /// Where it becomes a reason of the score; infinite when it has none.
    pub(in crate::health) limit: f64,
    /// How many calls it was made of; what is made of few says little. 1 for what is no mean.
    pub(in crate::health) weight: f64,
}

/// The signs of one component over time.
#[derive(Clone, Debug, Default)]
pub(in crate::health) struct Watch {}

impl Watch {
    /// Takes in what was measured `at`, since the start, in that hour of the week (0..168, from Monday, UTC).
    pub(in crate::health) fn update(
        &mut self,
        at: Duration,
        hour_of_week: u8,
        measures: &[Measure],
        settings: &PredictSettings,
    ) {
        let _ = (at, hour_of_week, measures, settings);
    }

    /// What follows from all of it. Dearer than an update: asked once a round.
    pub(in crate::health) fn outlook(&self, settings: &PredictSettings) -> Option<Outlook> {
        let _ = settings;
        None
    }
}
