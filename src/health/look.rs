//! One look at everything that is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::handle::Inner;
use super::score::Evidence;
use super::snapshot::HealthSnapshot;
use crate::clock::Tick;
use crate::signal;

impl Inner {
    /// The health of this moment. Does what is due in this round.
    pub(super) fn look(&self, now: Tick) -> Arc<HealthSnapshot> {
        // One look after the other: an older one must not undo what a newer one found.
        let mut kept = self.kept.lock();
        let mut evidence = self.evidence();
        let said = self.said();
        for name in said.components.names() {
            if !evidence.contains_key(name) {
                evidence.insert(Arc::clone(name), Evidence::default());
            }
        }
        let due = kept.keep(now, &mut evidence, &said.settings);
        let snapshot = Arc::new(HealthSnapshot::new(&evidence, &said.components, &said.settings));
        kept.remember(&snapshot);
        drop(kept);
        if due {
            self.healers.after_round(&snapshot);
        }
        snapshot
    }

    /// What is known of each component, by name.
    fn evidence(&self) -> BTreeMap<Arc<str>, Evidence> {
        let mut evidence: BTreeMap<Arc<str>, Evidence> = BTreeMap::new();
        for (name, vital) in self.vitals.readings() {
            evidence.entry(name).or_default().vital = Some(vital);
        }
        for report in self.checks.reports() {
            let component = Arc::clone(&report.component);
            evidence.entry(component).or_default().checks.push(report);
        }
        signal::signs(&mut |name, sign| match evidence.get_mut(name) {
            Some(evidence) => evidence.add(sign),
            None => evidence.entry(name.into()).or_default().add(sign),
        });
        evidence
    }
}
