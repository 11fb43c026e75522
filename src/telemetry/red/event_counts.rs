//! Counts of events of the levels `WARN` and `ERROR`, by component.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{Emit, LOG_EVENTS, Vitals};

/// The component that those beyond the maximum number share, as in [`Vitals`].
pub(super) const OTHER: &str = "other";

/// The maximum number of components. Each has two series.
const MOST: usize = Vitals::CAPACITY / 2;

/// The counts of all components: at most [`MOST`]. Further components share one.
#[derive(Debug, Default)]
pub(super) struct EventCounts(RwLock<HashMap<Box<str>, Arc<ComponentEvents>>>);

/// The counts of one component.
#[derive(Debug, Default)]
pub(super) struct ComponentEvents {
    warnings: AtomicU64,
    errors: AtomicU64,
}

impl ComponentEvents {
    /// Counts an event: an error, or a warning.
    pub(super) fn count(&self, error: bool) {
        let counter = if error { &self.errors } else { &self.warnings };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl EventCounts {
    /// The counts of the component `name`.
    pub(super) fn of(&self, name: &str) -> Arc<ComponentEvents> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| self.add(name))
    }

    #[cold]
    fn add(&self, name: &str) -> Arc<ComponentEvents> {
        let mut components = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = components.len() < MOST || components.contains_key(name);
        Arc::clone(components.entry(if room { name } else { OTHER }.into()).or_default())
    }

    /// Emits the counts of every component, zeros included, so that the first event is a rise.
    #[allow(clippy::cast_precision_loss)] // Beyond 2^53 of them.
    pub(super) fn observe(&self, emit: &mut Emit<'_>) {
        for (name, events) in &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            for (level, counter) in [("warn", &events.warnings), ("error", &events.errors)] {
                let count = counter.load(Ordering::Relaxed) as f64;
                emit(&LOG_EVENTS, count, &[("component", name), ("level", level)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_components_share_one() {
        let counts = EventCounts::default();
        for number in 0..MOST + 7 {
            counts.of(&number.to_string()).count(number % 2 == 0);
        }
        counts.of("3").count(false);
        let mut seen = HashMap::new();
        counts.observe(&mut |_, value, attributes| {
            *seen.entry(attributes[0].1.to_owned()).or_insert(0.0) += value;
        });
        assert_eq!(seen.len(), MOST + 1);
        assert_eq!((seen["other"], seen["3"], seen["4"]), (7.0, 2.0, 1.0));
    }
}
