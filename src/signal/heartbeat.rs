//! Detects that this process was stalled.
//!
//! When a process was stopped, suspended or held in a debugger, or its runtime was blocked, all its timers fire at once.
//! Calls that were running then look slow or failed, although the called services worked. So a task runs once a second. If it
//! runs late, the process was stalled, and calls in that time count for no component. The same holds if the wall clock
//! advanced more than the monotonic clock, which stops while Linux is suspended.
//!
//! If the task is late repeatedly, the process lacks processor time and was not stopped. Then its calls count.

use std::time::Duration;

use crate::base::clock::{Tick, nanos};
use crate::base::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The interval of beats.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The delay above which a beat is late. The timers of a busy machine are late by less.
const LATE: Duration = Duration::from_millis(500);

/// The advance of the wall clock above which the machine was suspended. Corrections of the clock are usually smaller.
const AHEAD: Duration = Duration::from_secs(1);

/// The cost of a late beat. A punctual beat reduces the sum of costs by 1.
const COST: u32 = 10;

/// The sum of costs at which late beats no longer count as stalls: three late beats.
const MOST_COSTS: u32 = 3 * COST;

/// The heartbeat of one pipeline. Without a running task, all calls count.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// When the next beat is due; 0 if no task runs.
    due: AtomicU64,
    /// The time of the last late beat.
    awake_since: AtomicU64,
    /// The total time by which beats were late.
    stalled: AtomicU64,
    /// The sum of costs of late beats, up to [`MOST_COSTS`].
    costs: AtomicU32,
    /// The microseconds from the monotonic clock to the wall clock at the last beat.
    offset: AtomicU64,
}

impl Heartbeat {
    /// Records a beat, `wall` microseconds after 1970.
    pub(crate) fn beat(&self, now: Tick, wall: u64) {
        let late = self.late(now);
        let offset = wall.saturating_sub(now.0 / 1_000);
        let before = self.offset.swap(offset, Ordering::Relaxed);
        let suspended = before > 0 && u128::from(offset.saturating_sub(before)) > AHEAD.as_micros();
        let costs = self.costs.load(Ordering::Relaxed);
        if !late.is_zero() || suspended {
            // At least one nanosecond, so that the total changes.
            self.stalled.fetch_add(nanos(late).max(1), Ordering::Relaxed);
            self.awake_since.store(now.0, Ordering::Relaxed);
        }
        let costs = if !self.behind(now).is_zero() { costs + COST } else { costs.saturating_sub(1) };
        self.costs.store(costs.min(MOST_COSTS), Ordering::Relaxed);
        self.expect_next(now);
    }

    /// Expects the next beat after [`PERIOD`].
    pub(crate) fn expect_next(&self, now: Tick) {
        self.due.store((now + PERIOD).0, Ordering::Relaxed);
    }

    /// Expects no more beats, because the task ended.
    pub(crate) fn stop(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// The total time until `now` by which beats were late.
    pub(crate) fn stalled(&self, now: Tick) -> Duration {
        Duration::from_nanos(self.stalled.load(Ordering::Relaxed)).saturating_add(self.late(now))
    }

    /// Whether this process was stalled between `began` and `now`.
    #[inline]
    pub(crate) fn stalled_between(&self, began: Tick, now: Tick) -> bool {
        began.0 < self.awake_since.load(Ordering::Relaxed)
            || (began.0 < self.due.load(Ordering::Relaxed) && !self.late(now).is_zero())
    }

    /// The delay of the due beat. Zero if it is small, or if beats are late repeatedly.
    #[inline]
    fn late(&self, now: Tick) -> Duration {
        let late = self.behind(now);
        if late.is_zero() || self.costs.load(Ordering::Relaxed) >= MOST_COSTS { Duration::ZERO } else { late }
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
    fn calls_that_ran_while_the_beat_was_late_do_not_count() {
        let at = |millis| Tick(0) + Duration::from_millis(millis);
        let beat = Heartbeat::default();
        let came = |millis| beat.beat(at(millis), 7_000_000 + millis * 1_000);
        assert!(!beat.stalled_between(at(1), at(1_000_000)), "no task beats");
        came(10_000);
        assert_eq!(beat.stalled(at(11_400)), Duration::ZERO);
        assert!(!beat.stalled_between(at(10_500), at(11_400)), "a little late is not a stall");
        // The beat of 11 s comes at 25 s.
        assert!(
            beat.stalled_between(at(10_500), at(24_000)) && !beat.stalled_between(at(11_001), at(24_000))
        );
        assert_eq!(beat.stalled(at(24_000)), Duration::from_secs(13));
        came(25_000);
        assert_eq!(beat.stalled(at(25_900)), Duration::from_secs(14));
        assert!(beat.stalled_between(at(10_500), at(25_900)) && beat.stalled_between(at(24_999), at(25_900)));
        assert!(!beat.stalled_between(at(25_000), at(25_900)));
        beat.stop();
        assert_eq!(beat.stalled(at(90_000)), Duration::from_secs(14));
    }

    #[test]
    fn an_advance_of_the_wall_clock_shows_that_the_machine_was_suspended() {
        let second = |second: u64| Tick(0) + Duration::from_secs(second);
        let beat = Heartbeat::default();
        beat.beat(second(10), 10_010_000_000);
        // Set by half a second, and back by an hour.
        beat.beat(second(11), 10_011_500_000);
        beat.beat(second(12), 6_412_500_000);
        assert!(!beat.stalled_between(second(10), second(12)) && beat.stalled(second(12)).is_zero());
        beat.beat(second(13), 7_314_500_000);
        assert!(
            beat.stalled_between(second(12), second(13)) && !beat.stalled_between(second(13), second(14))
        );
        assert!(!beat.stalled(second(13)).is_zero() && beat.stalled(second(13)) < LATE);
    }

    #[test]
    fn a_process_that_is_late_repeatedly_is_not_stalled() {
        let mut now = Tick(0);
        let beat = Heartbeat::default();
        let mut come = |millis| {
            let began = now;
            now = now + Duration::from_millis(millis);
            let missed = beat.stalled_between(began, now);
            beat.beat(now, now.0 / 1_000);
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
