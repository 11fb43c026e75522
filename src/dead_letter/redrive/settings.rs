//! Which letters are sent again, and how carefully.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::store::LetterFilter;

/// Bytes of letters that are in memory at once.
pub(super) const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Which letters are sent again, and how carefully.
///
/// # Example
/// ```
/// use campanile::FailureKind;
/// use campanile::dead_letter::{LetterFilter, Redrive};
///
/// let timeouts = Redrive::only(LetterFilter::all().kind(FailureKind::Timeout)).rate(50).concurrency(4).stop_after(5);
/// # let _ = timeouts;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Redrive {
    pub(super) filter: LetterFilter,
    pub(super) rate: Option<f64>,
    pub(super) concurrency: usize,
    pub(super) max_bytes: u64,
    pub(super) dry_run: bool,
    pub(super) stop_after: u32,
    pub(super) stop_at_failure_rate: f64,
    pub(super) failure_rate_minimum: u64,
    pub(super) set_aside_after: u32,
    #[serde(with = "crate::base::duration")]
    pub(super) max_pause: Duration,
    #[serde(with = "crate::base::duration")]
    pub(super) lease: Duration,
}

impl Default for Redrive {
    fn default() -> Self {
        Self {
            filter: LetterFilter::all(),
            rate: None,
            concurrency: 1,
            max_bytes: MAX_BYTES,
            dry_run: false,
            stop_after: 10,
            stop_at_failure_rate: 0.5,
            failure_rate_minimum: 20,
            set_aside_after: 5,
            max_pause: Duration::from_secs(60),
            lease: Duration::from_secs(30),
        }
    }
}

impl Redrive {
    /// Every letter that is not set aside, the oldest first, one after the other, until ten have failed in a row or
    /// half of at least twenty have failed.
    pub fn all() -> Self {
        Self::default()
    }

    /// The letters that `filter` lets through; those that are set aside only if it asks for them.
    pub fn only(filter: LetterFilter) -> Self {
        Self { filter, ..Self::default() }
    }

    setters! {
        /// At most this many letters a second, evenly spaced to the 5 ms that timers are good for; at least 0.001.
        /// Default: no limit.
        pub fn rate(per_second: impl Into<f64>) { rate = Some(per_second.into()); }
        /// How many letters may be under way at once: 1 to 1,024. Default 1, which keeps their order.
        pub fn concurrency(letters: usize) { concurrency = letters; }
        /// The most bytes of letters that are in memory at once, those under way and those that are next: at least
        /// 65,536. Beyond it, letters wait in the store until others have ended; the one with which it is reached is still
        /// taken. Default 64 MiB.
        pub fn max_bytes(bytes: u64) { max_bytes = bytes; }
        /// Whether to only count what would be sent.
        pub fn dry_run(yes: bool) { dry_run = yes; }
        /// Stops when this many letters have failed in a row: at least 1. Default 10.
        pub fn stop_after(failures: u32) { stop_after = failures; }
        /// Stops when at least `minimum` letters have been sent and this share of them, more than 0 and at most 1, has
        /// failed. Default: half of at least 20.
        pub fn stop_at_failure_rate(share: f64, minimum: u64) {
            stop_at_failure_rate = share;
            failure_rate_minimum = minimum;
        }
        /// Sets a letter aside when this many redrives have failed it, so that it holds up no other one: see
        /// [`DeadLetterQueue::bring_back`](crate::DeadLetterQueue::bring_back). Default 5; zero sets none aside.
        pub fn set_aside_after(redrives: u32) { set_aside_after = redrives; }
        /// How long to wait in all, between two successes, for a circuit breaker that refuses. Default 60 s; zero
        /// stops at the first refusal.
        pub fn max_pause(pause: Duration) { max_pause = pause; }
        /// For how long no other run gets a letter that this one is about to send, at least 100 ms. Default 30 s.
        ///
        /// It is prolonged for as long as the run lives: this is how long the letters of a process that died have to
        /// wait.
        pub fn lease(lease: Duration) { lease = lease; }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        validate_common(self.rate, self.concurrency, self.max_bytes, self.lease)?;
        ConfigError::check(self.stop_after >= 1, "stop_after", self.stop_after, "at least 1")?;
        ConfigError::check(
            self.stop_at_failure_rate > 0.0 && self.stop_at_failure_rate <= 1.0,
            "stop_at_failure_rate",
            self.stop_at_failure_rate,
            "more than 0 and at most 1",
        )?;
        ConfigError::check(
            self.failure_rate_minimum >= 1,
            "failure_rate_minimum",
            self.failure_rate_minimum,
            "at least 1",
        )
    }
}

pub(super) fn validate_common(
    rate: Option<f64>,
    concurrency: usize,
    max_bytes: u64,
    lease: Duration,
) -> Result<(), ConfigError> {
    if let Some(rate) = rate {
        ConfigError::check(
            rate.is_finite() && rate >= 0.001,
            "rate",
            rate,
            "letters a second, at least 0.001",
        )?;
    }
    ConfigError::check(
        (1..=1_024).contains(&concurrency),
        "concurrency",
        concurrency,
        "at least 1 and at most 1024",
    )?;
    ConfigError::check(max_bytes >= 65_536, "max_bytes", max_bytes, "at least 65536 bytes")?;
    ConfigError::check(
        (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&lease),
        "lease",
        lease,
        "at least 100 ms and at most a day",
    )
}
