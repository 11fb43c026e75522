//! Monotonic time in one word.
//!
//! Layers keep instants in atomics, so time is a count of nanoseconds from a base that the process takes
//! once. It is read from tokio's clock: a test that pauses that clock pauses every layer with it.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// Added to every reading, so that an instant from before the base was taken still counts upwards.
const MARGIN: u64 = 3_600_000_000_000;

static BASE: LazyLock<Instant> = LazyLock::new(|| Instant::from_std(real_now()));

#[allow(clippy::disallowed_methods)] // The one place that reads the real clock: the base must not be a paused time.
fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A moment of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// The time that passed since `earlier`; zero when `earlier` lies ahead.
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
    let base = *BASE;
    let now = Instant::now();
    if now >= base {
        Tick(MARGIN.saturating_add(nanos(now - base)))
    } else {
        Tick(MARGIN.saturating_sub(nanos(base - now)))
    }
}

/// A duration as nanoseconds; more than 584 years are cut there.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
