//! Which letters a redrive sends, and how carefully.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Backoff;
use crate::base::error::ConfigError;
use crate::store::LetterFilter;

/// Which letters are sent again, and how carefully. Unknown keys are refused.
///
/// The same settings serve [`DeadLetterQueue::redrive`](crate::DeadLetterQueue::redrive), which runs once, and
/// [`DeadLetterQueue::redrive_automatically`](crate::DeadLetterQueue::redrive_automatically), which runs in the background.
///
/// # Example
/// ```
/// use campanile::dead_letter::{LetterFilter, Redrive};
/// use campanile::{Backoff, FailureKind};
/// use std::time::Duration;
///
/// let timeouts = Redrive::only(LetterFilter::all().kind(FailureKind::Timeout)).rate(50).concurrency(4).stop_after(5);
/// let slow = Backoff::exponential(Duration::from_secs(60), Duration::from_secs(6 * 3_600));
/// let in_background = Redrive::all().backoff(slow).rate(20).set_aside_after(12);
/// # let _ = (timeouts, in_background);
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
    set_aside_after: Option<u32>,
    #[serde(with = "crate::base::duration")]
    pub(super) max_pause: Duration,
    pub(super) backoff: Backoff,
    #[serde(with = "crate::base::duration")]
    pub(super) interval: Duration,
    #[serde(with = "crate::base::duration")]
    pub(super) lease: Duration,
}

impl Default for Redrive {
    fn default() -> Self {
        Self {
            filter: LetterFilter::all(),
            rate: None,
            concurrency: 1,
            max_bytes: 64 * 1024 * 1024,
            dry_run: false,
            stop_after: 10,
            stop_at_failure_rate: 0.5,
            failure_rate_minimum: 20,
            set_aside_after: None,
            max_pause: Duration::from_secs(60),
            backoff: Backoff::exponential(Duration::from_secs(10), Duration::from_secs(3_600)),
            interval: Duration::from_secs(5),
            lease: Duration::from_secs(30),
        }
    }
}

impl Redrive {
    /// Selects every letter that is not set aside. Letters are sent oldest first, one after the other, until ten have
    /// failed in a row or half of at least twenty have failed.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the letters that match `filter`. Letters that are set aside are sent only if the filter asks for them.
    pub fn only(filter: LetterFilter) -> Self {
        Self { filter, ..Self::default() }
    }

    setters! {
        /// Sets the most letters per second, at least 0.001. They are evenly spaced, to within 5 ms. Default: no limit.
        pub fn rate(per_second: impl Into<f64>) { rate = Some(per_second.into()); }
        /// Sets how many letters are sent at once: 1 to 1,024. Default: 1, which keeps their order.
        pub fn concurrency(letters: usize) { concurrency = letters; }
        /// Sets the most bytes of letters in memory, those being sent and those that are next: at least 65,536. The last
        /// letter may exceed it. Default: 64 MiB.
        pub fn max_bytes(bytes: u64) { max_bytes = bytes; }
        /// Sets whether to only count what would be sent. Not in the background. Default: `false`.
        pub fn dry_run(yes: bool) { dry_run = yes; }
        /// Sets after how many failures in a row the redrive stops, at least 1. Default: 10.
        ///
        /// In the background it rests instead: for a second, then for twice as long each time, up to a minute.
        pub fn stop_after(failures: u32) { stop_after = failures; }
        /// Stops the redrive when it has sent at least `minimum` letters and this share of them has failed: more than 0, at
        /// most 1. Default: half of at least 20.
        ///
        /// In the background it has no effect, because letters that fail wait longer each time.
        pub fn stop_at_failure_rate(share: f64, minimum: u64) {
            stop_at_failure_rate = share;
            failure_rate_minimum = minimum;
        }
        /// Sets after how many failed redrives a letter is set aside, so that it does not delay the others: see
        /// [`DeadLetterQueue::bring_back`](crate::DeadLetterQueue::bring_back). Default: 5, and 10 in the background. 0
        /// means never.
        ///
        /// In the background, a letter that cannot be sent is set aside too. If another version of the program may be able
        /// to send it ([`OtherType`](crate::dead_letter::Unsendable::OtherType),
        /// [`Unreadable`](crate::dead_letter::Unsendable::Unreadable)), that happens when this process has skipped it as
        /// often, with the delays of [`Redrive::backoff`]; otherwise at once.
        pub fn set_aside_after(redrives: u32) { set_aside_after = Some(redrives); }
        /// Sets how long to wait for a circuit breaker that rejects letters, in total between two successes. 0 stops at the
        /// first rejection. Default: 60 s.
        ///
        /// In the background it has no effect: the redrive releases its letters for as long as the breaker asks.
        pub fn max_pause(pause: Duration) { max_pause = pause; }
        /// Sets how long a letter waits before it is sent in the background: after it was parked, and longer after each
        /// failed redrive. Default: 10 s, doubling up to an hour, with equal jitter.
        pub fn backoff(backoff: Backoff) { backoff = backoff; }
        /// Sets how often a redrive in the background looks for letters that other processes parked: 100 ms to an hour. A
        /// redrive learns of letters of its own process at once. Default: 5 s.
        pub fn interval(interval: Duration) { interval = interval; }
        /// Sets how long a claim lasts that is not renewed: 100 ms to a day. No other redrive gets a claimed letter.
        /// Default: 30 s.
        ///
        /// A redrive renews its claims while it runs. So this is how long the letters of a dead process wait.
        pub fn lease(lease: Duration) { lease = lease; }
    }

    /// After how many failures a letter is set aside; 0 means never.
    pub(super) fn set_aside_limit(&self, automatic: bool) -> u32 {
        self.set_aside_after.unwrap_or(if automatic { 10 } else { 5 })
    }

    /// The settings of one pass in the background. It ends at the first rejection of a circuit breaker, so that other
    /// processes can claim the letters while it rests.
    pub(super) fn into_pass(self) -> Self {
        Self { failure_rate_minimum: u64::MAX, max_pause: Duration::ZERO, ..self }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(rate) = self.rate {
            ConfigError::check(
                rate.is_finite() && rate >= 0.001,
                "rate",
                rate,
                "letters per second, at least 0.001",
            )?;
        }
        ConfigError::check(
            (1..=1_024).contains(&self.concurrency),
            "concurrency",
            self.concurrency,
            "at least 1 and at most 1024",
        )?;
        ConfigError::check(self.max_bytes >= 65_536, "max_bytes", self.max_bytes, "at least 65536 bytes")?;
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
        )?;
        ConfigError::check(
            (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.interval),
            "interval",
            self.interval,
            "at least 100 ms and at most an hour",
        )?;
        ConfigError::check(
            (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&self.lease),
            "lease",
            self.lease,
            "at least 100 ms and at most a day",
        )?;
        self.backoff.validate("backoff")
    }

    /// Validates the settings of a redrive of `queue`, which the error names.
    pub(super) fn validate_for(&self, queue: &str) -> Result<(), ConfigError> {
        self.validate().map_err(|error| of_queue(error, queue))
    }

    pub(super) fn validate_for_background(&self, queue: &str) -> Result<(), ConfigError> {
        ConfigError::check(!self.dry_run, "dry_run", self.dry_run, "`false` in the background")
            .map_err(|error| of_queue(error, queue))?;
        self.validate_for(queue)
    }
}

fn of_queue(error: ConfigError, queue: &str) -> ConfigError {
    error.of("the redrive of dead-letter queue", queue)
}
