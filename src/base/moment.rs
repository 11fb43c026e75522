//! Wall-clock times in microseconds, the resolution that all stores have.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Two readings of the same clock are less than this apart, unless the thread was descheduled in between.
const ONE_CLOCK: Duration = Duration::from_micros(20);

/// The time now. If a test pauses tokio's clock, this clock is paused too.
#[must_use]
pub(crate) fn now() -> SystemTime {
    let mut tests = Instant::now().into_std();
    // A thread may be descheduled between the readings once, but hardly four times in a row.
    for _ in 0..4 {
        let real = real_now();
        if tests <= real && real - tests < ONE_CLOCK {
            return from_micros(micros(SystemTime::now()));
        }
        tests = Instant::now().into_std();
    }
    let (instant, moment) = *ORIGIN;
    let moment = match tests.checked_duration_since(instant) {
        Some(after) => moment.checked_add(after),
        None => moment.checked_sub(instant - tests),
    };
    from_micros(micros(moment.unwrap_or(SystemTime::UNIX_EPOCH)))
}

/// The same moment by both clocks. Times of a paused clock are converted relative to it.
static ORIGIN: LazyLock<(std::time::Instant, SystemTime)> = LazyLock::new(|| (real_now(), SystemTime::now()));

#[allow(clippy::disallowed_methods)] // To detect whether tokio's clock is paused.
fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Microseconds since 1970; zero for an earlier moment.
#[must_use]
pub(crate) fn micros(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The moment this number of microseconds after 1970.
#[must_use]
pub(crate) fn from_micros(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `moment` plus `time`, at most the latest moment that a store can keep.
#[must_use]
pub(crate) fn later(moment: SystemTime, time: Duration) -> SystemTime {
    // Stores keep signed numbers.
    const LATEST: u64 = i64::MAX as u64;
    let time = u64::try_from(time.as_micros()).unwrap_or(LATEST);
    from_micros(micros(moment).saturating_add(time).min(LATEST))
}

/// Serializes a moment as microseconds since 1970.
pub(crate) mod as_micros {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(moment: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::micros(*moment))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        Ok(super::from_micros(u64::deserialize(deserializer)?))
    }

    /// The same for an `Option`.
    pub(crate) mod option {
        use std::time::SystemTime;

        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(crate) fn serialize<S: Serializer>(
            moment: &Option<SystemTime>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            moment.map(crate::base::moment::micros).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SystemTime>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(crate::base::moment::from_micros))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_paused_with_the_clock_of_tokio() {
        let before = now();
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let later = now();
        let passed = later.duration_since(before).unwrap_or_default();
        assert!(passed.abs_diff(Duration::from_secs(3_600)) < Duration::from_millis(1), "{passed:?}");
        // The real clock advances.
        let until = real_now() + Duration::from_millis(2);
        while real_now() < until {}
        assert_eq!(now(), later);
    }

    #[test]
    fn it_agrees_with_the_wall_clock() {
        let system = SystemTime::now();
        let off = now().duration_since(system).unwrap_or_else(|error| error.duration());
        assert!(off < Duration::from_secs(1), "{off:?}");
    }

    #[test]
    fn no_time_is_too_long() {
        assert!(later(now(), Duration::MAX) > now());
        assert_eq!(from_micros(micros(later(now(), Duration::MAX))), later(now(), Duration::MAX));
    }
}
