//! Monotonic time in one word.
//!
//! Layers keep instants in atomics, so time is a count of nanoseconds from a base that the process takes
//! once. It is read from tokio's clock: a test that pauses that clock pauses every layer with it.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// The base lies so far back, so that an instant from before it was taken still counts upwards: as far as the
/// system's clock has an instant for it, which some begin to count when the machine starts.
const MARGINS: [u64; 3] = [3_600, 60, 1];

static BASE: LazyLock<Instant> = LazyLock::new(|| {
    let now = real_now();
    let base = MARGINS.into_iter().find_map(|seconds| now.checked_sub(Duration::from_secs(seconds)));
    Instant::from_std(base.unwrap_or(now))
});

#[allow(clippy::disallowed_methods)] // The one place that reads the real clock: the base must not be a paused time.
fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

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
    Tick(nanos(Instant::now().duration_since(*BASE)))
}

/// A duration as nanoseconds; more than 584 years are cut there.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // In words of 64 bits: `as_nanos` would go through 128.
    match duration.as_secs().checked_mul(1_000_000_000) {
        Some(whole) => whole.saturating_add(u64::from(duration.subsec_nanos())),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_pauses_ticks() {
        let before = now();
        assert_eq!(now(), before);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(now().since(before), Duration::from_millis(1_500));
        assert_eq!(before.since(now()), Duration::ZERO);
    }
}
