//! Monotonic time as a number of nanoseconds.
//!
//! Layers keep instants in atomics, so time is a number of nanoseconds. It is read from tokio's clock, so a test that
//! pauses that clock pauses all layers.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// An instant of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// The time since `earlier`; zero if `earlier` is in the future.
    #[inline]
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, rhs: Duration) -> Tick {
        Tick(self.0.saturating_add(nanos(rhs)))
    }
}

/// The time now, by tokio's clock, which tests can pause.
#[inline]
pub(crate) fn now() -> Tick {
    at(Instant::now())
}

/// The tick of an instant of tokio's clock.
#[inline]
pub(crate) fn at(instant: Instant) -> Tick {
    Tick(nanos(instant.duration_since(*BASE)))
}

/// The origin of ticks: an hour before the first use, or less if the system's clock does not reach back so far. Instants
/// before the first use then have ticks too.
static BASE: LazyLock<Instant> = LazyLock::new(|| {
    // Not tokio's clock, because a test may have paused it.
    let now = Instant::from_std(real_now());
    let back = [3_600, 60, 1].into_iter().find_map(|seconds| now.checked_sub(Duration::from_secs(seconds)));
    back.unwrap_or(now)
});

/// The current time of the system's clock, which tests cannot pause. For durations across threads if one of them may have a
/// paused clock.
#[allow(clippy::disallowed_methods)] // The one place that reads the real clock.
pub(crate) fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

const SECOND: u64 = 1_000_000_000;

/// A duration in nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    match duration.as_secs().checked_mul(SECOND) {
        Some(whole) => whole.saturating_add(u64::from(duration.subsec_nanos())),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_pauses_ticks() {
        let before = now();
        assert_eq!(now(), before);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(now().since(before), Duration::from_millis(1_500));
        assert_eq!(before.since(now()), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn ticks_have_the_same_distance_as_their_instants(steps in prop::collection::vec(0_u64..4_000_000_000, 1..20)) {
            let start = Instant::from_std(real_now());
            let first = at(start);
            let mut then = start;
            for step in &steps {
                then += Duration::from_nanos(*step);
                prop_assert_eq!(at(then).since(first), then - start);
            }
        }
    }

    #[test]
    fn an_instant_before_the_first_use_has_a_tick() {
        let now = Instant::from_std(real_now());
        let Some(earlier) = now.checked_sub(Duration::from_millis(500)) else { return };
        assert_eq!(at(now).since(at(earlier)), Duration::from_millis(500));
    }

    #[test]
    fn a_duration_that_is_too_long_is_limited() {
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
