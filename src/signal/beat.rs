//! Whether this process ran all the time.
//!
//! A process that is stopped, suspended, held in a debugger or starved of its runtime wakes with every timer due at
//! once. Calls that were under way look slow or failed then, though what they called did nothing wrong. So a task of
//! ours comes once a second; when it comes late, the time between belongs to nobody.

use std::time::Duration;

use crate::clock::{Tick, nanos};
use crate::sync::atomic::{AtomicU64, Ordering};

/// From one beat to the next.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The timers of a busy machine are late by less.
const LATE: Duration = Duration::from_millis(500);

/// The beat of one health. Without a task that beats, nothing is known and nothing is excused.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    /// When the next beat is due; 0 as long as no task beats.
    due: AtomicU64,
    /// When the last beat came that was late.
    awake_since: AtomicU64,
    /// All the time that late beats were late by.
    stood: AtomicU64,
}

impl Beat {
    /// The task is here.
    pub(crate) fn came(&self, now: Tick) {
        let late = self.late(now);
        if !late.is_zero() {
            self.stood.fetch_add(nanos(late), Ordering::Relaxed);
            self.awake_since.store(now.0, Ordering::Relaxed);
        }
        self.plan(now);
    }

    /// The task comes again after [`PERIOD`].
    pub(crate) fn plan(&self, now: Tick) {
        self.due.store((now + PERIOD).0, Ordering::Relaxed);
    }

    /// The task is gone.
    pub(crate) fn stops(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// All the time until `now` in which the task should have come and did not.
    pub(crate) fn stood(&self, now: Tick) -> Duration {
        Duration::from_nanos(self.stood.load(Ordering::Relaxed)).saturating_add(self.late(now))
    }

    /// Whether we stood still between `began` and `now`.
    #[inline]
    pub(crate) fn missed(&self, began: Tick, now: Tick) -> bool {
        began.0 < self.awake_since.load(Ordering::Relaxed)
            || (began.0 < self.due.load(Ordering::Relaxed) && !self.late(now).is_zero())
    }

    /// By how much the beat that is due is late; zero when that is little.
    #[inline]
    fn late(&self, now: Tick) -> Duration {
        let due = self.due.load(Ordering::Relaxed);
        let late = now.since(Tick(due));
        if due == 0 || late < LATE { Duration::ZERO } else { late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_under_way_while_the_beat_was_late_is_excused() {
        let at = |millis| Tick(0) + Duration::from_millis(millis);
        let beat = Beat::default();
        assert!(!beat.missed(at(1), at(1_000_000)), "as long as nobody beats, nothing is known");
        beat.came(at(10_000));
        assert_eq!(beat.stood(at(11_400)), Duration::ZERO);
        assert!(!beat.missed(at(10_500), at(11_400)), "a little late is no standstill");
        // The beat of 11 s comes at 25 s.
        assert!(beat.missed(at(10_500), at(24_000)) && !beat.missed(at(11_001), at(24_000)));
        assert_eq!(beat.stood(at(24_000)), Duration::from_secs(13));
        beat.came(at(25_000));
        assert_eq!(beat.stood(at(25_900)), Duration::from_secs(14));
        assert!(beat.missed(at(10_500), at(25_900)) && beat.missed(at(24_999), at(25_900)));
        assert!(!beat.missed(at(25_000), at(25_900)));
        beat.stops();
        assert_eq!(beat.stood(at(90_000)), Duration::from_secs(14));
    }
}
