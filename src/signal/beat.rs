//! Whether this process ran all the time.
//!
//! A process that is stopped, suspended, held in a debugger or starved of its runtime wakes with every timer due at
//! once. Calls that were under way look slow or failed then, though what they called did nothing wrong. So a task of
//! ours comes once a second. When it comes late, or the wall clock has gone ahead of the monotonic one, which stands still
//! while Linux is suspended, the time between counts for no component.
//!
//! A process that is late again and again is short of processors rather than stopped. What it sees then counts, or it
//! would never see anything.

use std::time::Duration;

use crate::base::clock::{Tick, nanos};
use crate::base::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// From one beat to the next.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The timers of a busy machine are late by less.
const LATE: Duration = Duration::from_millis(500);

/// The wall clock is set by less from one beat to the next, as a rule.
const AHEAD: Duration = Duration::from_secs(1);

/// Each late beat costs so much of the patience, and each one in time gives back 1.
const PRICE: u32 = 10;

/// The number of late beats that are excused before others must come in time.
const PATIENCE: u32 = 3 * PRICE;

/// The beat of one health. Without a task that beats, nothing is known and nothing is excused.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    /// When the next beat is due; 0 as long as no task beats.
    due: AtomicU64,
    /// When the last beat came that was late.
    awake_since: AtomicU64,
    /// All the time that late beats were late by.
    stood: AtomicU64,
    /// What late beats have cost, up to [`PATIENCE`].
    spent: AtomicU32,
    /// The microseconds from the monotonic clock to the wall clock at the last beat.
    apart: AtomicU64,
}

impl Beat {
    /// The task is here, `wall` microseconds after 1970.
    pub(crate) fn came(&self, now: Tick, wall: u64) {
        let late = self.late(now);
        let apart = wall.saturating_sub(now.0 / 1_000);
        let before = self.apart.swap(apart, Ordering::Relaxed);
        let suspended = before > 0 && u128::from(apart.saturating_sub(before)) > AHEAD.as_micros();
        let spent = self.spent.load(Ordering::Relaxed);
        if !late.is_zero() || suspended {
            // At least something: that it woke shows.
            self.stood.fetch_add(nanos(late).max(1), Ordering::Relaxed);
            self.awake_since.store(now.0, Ordering::Relaxed);
        }
        let spent = if !self.behind(now).is_zero() { spent + PRICE } else { spent.saturating_sub(1) };
        self.spent.store(spent.min(PATIENCE), Ordering::Relaxed);
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

    /// By how much the beat that is due is late; zero when that is little, or happens all the time.
    #[inline]
    fn late(&self, now: Tick) -> Duration {
        let late = self.behind(now);
        if late.is_zero() || self.spent.load(Ordering::Relaxed) >= PATIENCE { Duration::ZERO } else { late }
    }

    #[inline]
    fn behind(&self, now: Tick) -> Duration {
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
        let came = |millis| beat.came(at(millis), 7_000_000 + millis * 1_000);
        assert!(!beat.missed(at(1), at(1_000_000)), "without a beat nothing is known");
        came(10_000);
        assert_eq!(beat.stood(at(11_400)), Duration::ZERO);
        assert!(!beat.missed(at(10_500), at(11_400)), "a little late is no standstill");
        // The beat of 11 s comes at 25 s.
        assert!(beat.missed(at(10_500), at(24_000)) && !beat.missed(at(11_001), at(24_000)));
        assert_eq!(beat.stood(at(24_000)), Duration::from_secs(13));
        came(25_000);
        assert_eq!(beat.stood(at(25_900)), Duration::from_secs(14));
        assert!(beat.missed(at(10_500), at(25_900)) && beat.missed(at(24_999), at(25_900)));
        assert!(!beat.missed(at(25_000), at(25_900)));
        beat.stops();
        assert_eq!(beat.stood(at(90_000)), Duration::from_secs(14));
    }

    #[test]
    fn a_wall_clock_that_went_ahead_tells_of_a_suspended_machine() {
        let second = |second: u64| Tick(0) + Duration::from_secs(second);
        let beat = Beat::default();
        beat.came(second(10), 10_010_000_000);
        // Set by half a second, and back by an hour.
        beat.came(second(11), 10_011_500_000);
        beat.came(second(12), 6_412_500_000);
        assert!(!beat.missed(second(10), second(12)) && beat.stood(second(12)).is_zero());
        beat.came(second(13), 7_314_500_000);
        assert!(beat.missed(second(12), second(13)) && !beat.missed(second(13), second(14)));
        assert!(!beat.stood(second(13)).is_zero() && beat.stood(second(13)) < LATE);
    }

    #[test]
    fn who_is_late_again_and_again_is_excused_no_more() {
        let mut now = Tick(0);
        let beat = Beat::default();
        let mut come = |millis| {
            let began = now;
            now = now + Duration::from_millis(millis);
            let missed = beat.missed(began, now);
            beat.came(now, now.0 / 1_000);
            missed
        };
        come(5_000);
        assert_eq!([0; 6].map(|_| come(3_000)), [true, true, true, false, false, false]);
        (0..10).for_each(|_| assert!(!come(1_000)));
        assert_eq!([0; 3].map(|_| come(3_000)), [true, false, false]);
        (0..30).for_each(|_| assert!(!come(1_000)));
        assert_eq!([0; 4].map(|_| come(3_000)), [true, true, true, false]);
    }
}
