//! When a check runs.

use std::time::Duration;

use super::Every;
use crate::base::clock::{Tick, nanos};

/// The first run of a check comes no later than this, whatever its jitter: a new process is waited for.
const FIRST: Duration = Duration::from_secs(2);

/// The moments at which a check is due: those of a grid that begins when it was registered, moved by what chance gave
/// this check once. What comes late does not move the grid, and is not made up for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    origin: Tick,
    interval: u64,
    due: Tick,
}

impl Rhythm {
    /// From `now`; `draw` is in 0..1.
    pub(super) fn new(every: &Every, now: Tick, draw: f64) -> Self {
        let spread = every.interval.mul_f64_or_max(every.jitter);
        Self {
            origin: now + spread.mul_f64_or_max(draw),
            interval: nanos(every.interval).max(1),
            due: now + spread.min(FIRST).mul_f64_or_max(draw),
        }
    }

    /// The next moment.
    pub(super) fn due(&self) -> Tick {
        self.due
    }

    /// The check ran until `now`: what was due meanwhile is done with.
    pub(super) fn ran(&mut self, now: Tick) {
        let passed = now.0.saturating_sub(self.origin.0) / self.interval + 1;
        self.due = Tick(self.origin.0.saturating_add(passed.saturating_mul(self.interval)));
    }
}

trait Share {
    fn mul_f64_or_max(self, share: f64) -> Self;
}

impl Share for Duration {
    /// The longest duration times 1 is, as a float, too long.
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
        let mut rhythm = Rhythm::new(&every, Tick(7), 0.5);
        assert_eq!(rhythm.due(), Tick(7 + SECOND), "half of two seconds");
        for (ran, due) in [(1, 125), (125, 225), (126, 225), (224, 225), (225, 325), (1_000, 1_025)] {
            rhythm.ran(Tick(7 + ran * SECOND));
            assert_eq!(rhythm.due(), Tick(7 + due * SECOND), "after {ran} s");
        }
    }

    proptest! {
        #[test]
        fn due_is_always_ahead_and_at_most_an_interval(
            interval in 1_u64..=u64::MAX, jitter in 0.0_f64..=1.0, draw in 0.0_f64..1.0, now in 0_u64..1 << 60, later in 0_u64..1 << 60,
        ) {
            let every = Every::interval(Duration::from_nanos(interval)).jitter(jitter);
            let mut rhythm = Rhythm::new(&every, Tick(now), draw);
            let first = rhythm.due();
            prop_assert!(first >= Tick(now) && first.since(Tick(now)) <= FIRST);
            rhythm.ran(first + Duration::from_nanos(later));
            let ran = first.0.saturating_add(later);
            prop_assert!(rhythm.due().0 > ran || rhythm.due().0 == u64::MAX);
            prop_assert!(later == 0 || rhythm.due().0 - ran <= interval.saturating_mul(2));
        }
    }
}
