//! When a check or a loop runs.

use std::time::Duration;

use super::interval::Every;
use crate::base::clock::{Tick, nanos};

/// The first run comes no later than this, whatever its jitter: a new process is not ready before it.
const FIRST_WITHIN: Duration = Duration::from_secs(2);

/// The times at which a run is due: a grid that begins when the check or loop is added, shifted once by its random jitter. A
/// late run does not move the grid, and missed runs are skipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    origin: Tick,
    interval: u64,
    due: Tick,
}

impl Schedule {
    /// A schedule that begins at `now`. `random` is in 0..1.
    pub(crate) fn new(every: &Every, now: Tick, random: f64) -> Self {
        let spread = every.interval.mul_f64_or_max(every.jitter);
        Self {
            origin: now + spread.mul_f64_or_max(random),
            interval: nanos(every.interval).max(1),
            due: now + spread.min(FIRST_WITHIN).mul_f64_or_max(random),
        }
    }

    /// The time of the next run.
    pub(crate) fn due(&self) -> Tick {
        self.due
    }

    /// Moves to the first time after `now`, at which a run ended.
    pub(crate) fn advance(&mut self, now: Tick) {
        let passed = now.0.saturating_sub(self.origin.0) / self.interval + 1;
        self.due = Tick(self.origin.0.saturating_add(passed.saturating_mul(self.interval)));
    }
}

trait Share {
    fn mul_f64_or_max(self, share: f64) -> Self;
}

impl Share for Duration {
    /// As a float, the longest duration is too long for a duration.
    fn mul_f64_or_max(self, share: f64) -> Self {
        Duration::try_from_secs_f64(self.as_secs_f64() * share).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_first_run_comes_soon_and_the_others_on_a_grid() {
        let every = Every::seconds(100).jitter(0.5);
        let mut schedule = Schedule::new(&every, Tick(7), 0.5);
        assert_eq!(schedule.due(), Tick(7 + SECOND), "half of two seconds");
        for (ran, due) in [(1, 125), (125, 225), (126, 225), (224, 225), (225, 325), (1_000, 1_025)] {
            schedule.advance(Tick(7 + ran * SECOND));
            assert_eq!(schedule.due(), Tick(7 + due * SECOND), "after {ran} s");
        }
    }

    proptest! {
        #[test]
        fn the_next_run_is_in_the_future_and_at_most_two_intervals_away(
            interval in 1_u64..=u64::MAX, jitter in 0.0_f64..=1.0, random in 0.0_f64..1.0, now in 0_u64..1 << 60, later in 0_u64..1 << 60,
        ) {
            let every = Every::interval(Duration::from_nanos(interval)).jitter(jitter);
            let mut schedule = Schedule::new(&every, Tick(now), random);
            let first = schedule.due();
            prop_assert!(first >= Tick(now) && first.since(Tick(now)) <= FIRST_WITHIN);
            schedule.advance(first + Duration::from_nanos(later));
            let ran = first.0.saturating_add(later);
            prop_assert!(schedule.due().0 > ran || schedule.due().0 == u64::MAX);
            prop_assert!(later == 0 || schedule.due().0 - ran <= interval.saturating_mul(2));
        }
    }
}
