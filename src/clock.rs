//! Monotonic time in one word.
//!
//! Layers keep instants in atomics, so time is a count of nanoseconds. It is read from tokio's clock: a test that
//! pauses that clock pauses every layer with it.

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// A moment of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// The time that passed since `earlier`; zero when `earlier` lies ahead.
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

/// Now, by the clock that tests can pause.
#[inline]
pub(crate) fn now() -> Tick {
    tick_of(Instant::now(), &SCALE)
}

/// The tick of a moment of tokio's clock.
#[cfg(feature = "telemetry")]
#[inline]
pub(crate) fn at(instant: Instant) -> Tick {
    tick_of(instant, &SCALE)
}

#[inline]
fn tick_of(instant: Instant, scale: &Scale) -> Tick {
    match scale {
        Scale::Parts => Tick(Parts::of(instant).nanos()),
        Scale::Since(base) => Tick(nanos(instant.duration_since(*base))),
    }
}

/// How an instant becomes a number.
#[derive(Debug)]
enum Scale {
    /// By its parts.
    Parts,
    /// By the time that passed since this one.
    Since(Instant),
}

static SCALE: LazyLock<Scale> = LazyLock::new(|| {
    // The base must not be a paused time.
    let now = Instant::from_std(real_now());
    if Parts::can_be_had(now) { Scale::Parts } else { Scale::since(now) }
});

/// Now, by the clock that nobody can pause: for what is measured across threads of which one may have a paused
/// clock and the other not.
#[allow(clippy::disallowed_methods)] // The one place that reads the real clock.
pub(crate) fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

impl Scale {
    /// The base lies back as far as the system's clock has an instant for it, which some begin to count when the
    /// machine starts: an instant from before the process took it still counts upwards.
    fn since(now: Instant) -> Self {
        let back =
            [3_600, 60, 1].into_iter().find_map(|seconds| now.checked_sub(Duration::from_secs(seconds)));
        Self::Since(back.unwrap_or(now))
    }
}

/// The parts of an instant: the seconds and the nanoseconds of the system's clock.
///
/// An instant gives them to nobody but a hasher. To take them from there spares each reading a subtraction, a tenth of
/// what it costs. Nothing promises that they come so; [`Parts::can_be_had`] tries it once and else it is done without.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    seconds: u64,
    nanos: u32,
    /// Writes of either; more than one of each, or another, and these are not the parts.
    writes: u32,
}

impl Parts {
    #[inline]
    fn of(instant: Instant) -> Self {
        let mut parts = Self::default();
        instant.hash(&mut parts);
        parts
    }

    #[inline]
    fn nanos(&self) -> u64 {
        self.seconds.saturating_mul(SECOND).saturating_add(u64::from(self.nanos))
    }

    fn can_be_had(now: Instant) -> bool {
        let first = Self::of(now).nanos();
        [0, 1, 999_999_999, SECOND, 3_600 * SECOND + 1].into_iter().all(|offset| {
            now.checked_add(Duration::from_nanos(offset)).is_some_and(|then| {
                let then = Self::of(then);
                then.writes == WRITES && then.nanos().checked_sub(first) == Some(offset)
            })
        })
    }
}

/// One of the seconds, one of the nanoseconds.
const WRITES: u32 = 0x1_0001;

impl Hasher for Parts {
    #[inline]
    fn write_i64(&mut self, seconds: i64) {
        self.write_u64(u64::try_from(seconds).unwrap_or(0));
    }

    #[inline]
    fn write_u64(&mut self, seconds: u64) {
        self.seconds = seconds;
        self.writes += 0x1_0000;
    }

    #[inline]
    fn write_u32(&mut self, nanos: u32) {
        self.nanos = nanos;
        self.writes += 1;
    }

    fn write(&mut self, _: &[u8]) {
        self.writes += 2;
    }

    fn finish(&self) -> u64 {
        self.nanos()
    }
}

const SECOND: u64 = 1_000_000_000;

/// A duration as nanoseconds; more than 584 years are cut there.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // In words of 64 bits: `as_nanos` would go through 128.
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
        fn ticks_are_as_far_apart_as_their_instants(steps in prop::collection::vec(0_u64..4_000_000_000, 1..20)) {
            let start = Instant::from_std(real_now());
            for scale in [&*SCALE, &Scale::since(start)] {
                let first = tick_of(start, scale);
                let mut then = start;
                for step in &steps {
                    then += Duration::from_nanos(*step);
                    prop_assert_eq!(tick_of(then, scale).since(first), then - start, "{:?}", scale);
                }
            }
        }
    }

    #[test]
    fn an_instant_before_the_base_counts_upwards_too() {
        let now = Instant::from_std(real_now());
        let scale = Scale::since(now);
        let Some(earlier) = now.checked_sub(Duration::from_millis(500)) else { return };
        assert_eq!(tick_of(now, &scale).since(tick_of(earlier, &scale)), Duration::from_millis(500));
    }

    #[test]
    fn parts_that_come_otherwise_are_not_taken() {
        assert!(Parts::can_be_had(Instant::from_std(real_now())), "each reading costs a tenth more");
        let written = |write: fn(&mut Parts)| {
            let mut parts = Parts::default();
            write(&mut parts);
            parts.writes
        };
        assert_eq!(written(|parts| (1_i64, 2_u32).hash(parts)), WRITES);
        assert_ne!(written(|parts| 1_i64.hash(parts)), WRITES);
        assert_ne!(written(|parts| (1_i64, 2_i64).hash(parts)), WRITES);
        assert_ne!(written(|parts| (1_i64, 2_u32, 3_u8).hash(parts)), WRITES);
        assert_ne!(written(|parts| 1_u128.hash(parts)), WRITES);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
