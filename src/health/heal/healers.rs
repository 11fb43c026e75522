//! The healings of one health.

use std::sync::{Arc, Weak};

use super::context::HealContext;
use super::healer::Healer;
use super::healing::Healing;
use super::record::HealingRecord;
use super::settings::HealingLimits;
use super::shared::Shared;
use super::starts_file::StartsFile;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::health::snapshot::HealthSnapshot;
use crate::health::states::Round;
use crate::health::texts::Texts;
use crate::signal::Emit;

/// The healings of one health.
#[derive(Debug, Default)]
pub(in crate::health) struct Healers {
    all: Mutex<Vec<Arc<Healer>>>,
    shared: Arc<Shared>,
}

impl Healers {
    /// Starts the healings whose conditions hold in `snapshot`.
    pub(in crate::health) fn after_round(&self, snapshot: &Arc<HealthSnapshot>, round: Round) {
        // Outside of the lock, because conditions are user code.
        for healer in self.all() {
            healer.after_round(snapshot, round);
        }
    }

    /// Emits the metrics of all healings.
    pub(in crate::health) fn observe(&self, emit: &mut Emit<'_>) {
        for healer in self.all() {
            healer.counters.observe(&healer.healing.component, &healer.healing.name, emit);
        }
    }

    pub(super) fn add(
        &self,
        healing: Healing,
        context: Weak<dyn HealContext>,
        texts: Texts,
    ) -> Result<Arc<Healer>, ConfigError> {
        let action = healing.validate().map_err(|error| error.of("healing", &healing.name))?;
        let mut all = self.all.lock();
        if all.iter().any(|it| it.healing.name == healing.name && it.healing.component == healing.component) {
            let allowed = format!("a name that no other healing of `{}` has", healing.component);
            return Err(ConfigError::new("healing.name", format_args!("{:?}", healing.name), allowed));
        }
        let healer = Arc::new(Healer::new(healing, action, context, Arc::clone(&self.shared), texts));
        self.shared.with_file(|file| healer.restore(file));
        all.push(Arc::clone(&healer));
        Ok(healer)
    }

    /// Replaces the shared limits.
    pub(in crate::health) fn limit(&self, limits: HealingLimits) -> Result<(), ConfigError> {
        // Outside of the locks: the file may be on a file system that does not answer, and rounds must go on.
        let new = limits.remember_in.as_ref().filter(|path| !self.shared.has_file_at(path));
        let opened = new.map(|path| StartsFile::open(path)).transpose()?;
        let all = self.all.lock();
        self.shared.set_limits(limits, opened, |file| all.iter().for_each(|healer| healer.restore(file)));
        Ok(())
    }

    /// The records of all healings, in the order in which they began.
    pub(in crate::health) fn records(&self) -> Vec<Arc<HealingRecord>> {
        let mut records: Vec<_> = self.all().iter().flat_map(|healer| healer.records()).collect();
        records.sort_by_key(|record| record.number);
        records
    }

    fn all(&self) -> Vec<Arc<Healer>> {
        self.all.lock().clone()
    }
}
