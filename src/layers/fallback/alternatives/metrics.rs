//! The metrics of alternatives.

use super::handle::Inner;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{self, Emit, Source};

impl<C: Send + Sync + 'static> Source for Inner<C> {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let name = ("fallback", &*self.name);
        let current = self.current.load(Ordering::Acquire);
        for (place, entry) in self.entries.iter().enumerate() {
            let of = ("alternative", &*entry.name);
            let is_active = if place == current { 1.0 } else { 0.0 };
            emit(&signal::FALLBACK_ACTIVE, is_active, &[name, of]);
            let failures = float(&entry.failures);
            let counts = [
                ("success", float(&entry.calls) - failures),
                ("failed", failures),
                ("no_connection", float(&entry.connect_failures)),
            ];
            for (result, count) in counts {
                emit(&signal::FALLBACK_ALTERNATIVE_CALLS, count, &[name, of, ("result", result)]);
            }
        }
        emit(&signal::FALLBACK_CHANGES, float(&self.changes), &[name]);
        emit(&signal::FALLBACK_EXHAUSTED, float(&self.exhausted), &[name]);
    }
}
