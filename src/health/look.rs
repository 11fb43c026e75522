//! One look at everything that is known.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::component::Components;
use super::handle::Inner;
use super::score::Evidence;
use super::snapshot::HealthSnapshot;
use crate::base::clock::Tick;
use crate::signal;

impl Inner {
    /// The health of this moment. Does what is due in this round.
    pub(super) fn look(&self, now: Tick) -> Arc<HealthSnapshot> {
        // One look after the other: an older one must not undo what a newer one found.
        let mut kept = self.kept.lock();
        let said = self.said();
        let mut evidence = kept.room();
        self.collect(&said.components, &mut evidence);
        let stood = self.vitals.heartbeat().stalled(now);
        let round = kept.keep(now, stood, &mut evidence, &said.settings);
        let judge = |place, evidence: &Evidence| kept.judge(place, now, evidence, &said.settings);
        let snapshot = Arc::new(HealthSnapshot::new(&evidence, &said.components, judge));
        kept.keep_room(evidence);
        drop(kept);
        #[cfg(feature = "heal")]
        if let Some(round) = round {
            self.healers.after_round(&snapshot, round);
        }
        #[cfg(not(feature = "heal"))]
        let _ = round;
        snapshot
    }

    /// What is known of each component, by name and in its order.
    fn collect(&self, registered: &Components, found: &mut Vec<(Arc<str>, Evidence)>) {
        self.called_or_registered(registered, found);
        // Most others speak for one of those: a search among a thousand is quicker than a tree of them.
        let mut others: BTreeMap<Arc<str>, Evidence> = BTreeMap::new();
        let mut of = |name: &str, add: &mut dyn FnMut(&mut Evidence)| match found
            .binary_search_by(|(other, _)| other.as_ref().cmp(name))
        {
            Ok(place) => add(&mut found[place].1),
            Err(_) => match others.get_mut(name) {
                Some(evidence) => add(evidence),
                None => add(others.entry(name.into()).or_default()),
            },
        };
        #[cfg(feature = "checks")]
        for report in self.checks.reports() {
            of(&report.component, &mut |evidence| evidence.checks.push(Arc::clone(&report)));
        }
        signal::signs(&mut |name, sign| of(name, &mut |evidence| evidence.add(sign.clone())));
        if !others.is_empty() {
            found.extend(others);
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
    }

    /// Those that were called and those that are registered, in the order of their names.
    fn called_or_registered(&self, registered: &Components, found: &mut Vec<(Arc<str>, Evidence)>) {
        let mut registered = registered.names().peekable();
        self.vitals.each(|name, vital| {
            let mut name = name;
            while let Some(next) = registered.peek() {
                match (***next).cmp(&**name) {
                    Ordering::Less => found.push((Arc::clone(next), Evidence::default())),
                    // The one that others know it by, so that they need not compare the text.
                    Ordering::Equal => name = next,
                    Ordering::Greater => break,
                }
                registered.next();
            }
            found.push((Arc::clone(name), Evidence { vital: Some(vital), ..Evidence::default() }));
        });
        found.extend(registered.map(|name| (Arc::clone(name), Evidence::default())));
    }
}
