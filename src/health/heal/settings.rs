//! The settings of one healing, and the limits of all.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rolling_hour::HOUR;
use crate::Backoff;
use crate::base::error::ConfigError;

/// The settings of a [`Healing`](super::Healing), as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::health::HealingSettings;
///
/// let settings: HealingSettings = serde_json::from_str(r#"{ "at_most_per_hour": 2, "timeout": "20s" }"#)?;
/// assert_eq!(settings.at_most_per_hour, 2);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealingSettings {
    /// Maximum number of actions within any 3,600 seconds: from 1 to 60. Dry runs count. A restart of the process resets
    /// the count, unless [`HealingLimits::remember_in`] is set. Default: 3.
    pub at_most_per_hour: u32,
    /// The time from the end of one action to the next. It grows with each action that does not help. Default: 1 min,
    /// doubling up to 30 min, with equal jitter.
    pub backoff: Backoff,
    /// The longest time that the action may take: more than zero and at most an hour. Default: 1 min.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// Whether to verify that the action helped. Without verification, each action that succeeds counts as one that
    /// helped. Default: `true`.
    pub verify: bool,
    /// Time from the action to the first test whether it helped, and from each test to the next: at least 100 ms. Default:
    /// 10 s.
    #[serde(with = "crate::base::duration")]
    pub verify_after: Duration,
    /// Time from the action to the last test: at least [`verify_after`](Self::verify_after) and at most an hour. Default:
    /// 90 s, because a status that depends on the calls of the last minute needs that minute to recover.
    #[serde(with = "crate::base::duration")]
    pub verify_within: Duration,
    /// When the condition has not held for this long, the backoff and the escalation are reset. More than zero. Default:
    /// 10 min.
    #[serde(with = "crate::base::duration")]
    pub well_after: Duration,
    /// Number of actions in a row that do not help before it escalates: at least 1. Default: 3.
    pub escalate_after: u32,
    /// Does everything except the action and the escalation. Default: `false`.
    pub dry_run: bool,
    /// Acts even if the component fails because of another component that it depends on. Default: `false`, because
    /// restarting the dependent component repairs nothing and may overload the other one.
    pub even_if_caused: bool,
}

impl Default for HealingSettings {
    fn default() -> Self {
        Self {
            at_most_per_hour: 3,
            backoff: Backoff::exponential(Duration::from_secs(60), Duration::from_secs(1_800)),
            timeout: Duration::from_secs(60),
            verify: true,
            verify_after: Duration::from_secs(10),
            verify_within: Duration::from_secs(90),
            well_after: Duration::from_secs(600),
            escalate_after: 3,
            dry_run: false,
            even_if_caused: false,
        }
    }
}

impl HealingSettings {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let often = self.at_most_per_hour;
        ConfigError::check((1..=60).contains(&often), "healing.at_most_per_hour", often, "from 1 to 60")?;
        self.backoff.validate("healing.backoff")?;
        let timeout = self.timeout;
        let usable = !timeout.is_zero() && timeout <= HOUR;
        ConfigError::check(usable, "healing.timeout", timeout, "more than zero and at most an hour")?;
        let (first, last) = (self.verify_after, self.verify_within);
        let usable = first >= Duration::from_millis(100);
        ConfigError::check(usable, "healing.verify_after", first, "at least 100 ms")?;
        ConfigError::check(
            (first..=HOUR).contains(&last),
            "healing.verify_within",
            last,
            "at least as long as `verify_after` and at most an hour",
        )?;
        let well = self.well_after;
        ConfigError::check(!well.is_zero(), "healing.well_after", well, "more than zero")?;
        let escalate = self.escalate_after;
        ConfigError::check(escalate >= 1, "healing.escalate_after", escalate, "at least 1")
    }
}

/// The limits that all healings of one health share: see [`Health::limit_healing`](crate::Health::limit_healing).
///
/// # Example
/// ```
/// use campanile::health::{Health, HealingLimits};
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let mut limits = HealingLimits::default();
/// limits.per_hour = 10;
/// Health::standalone().limit_healing(limits)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealingLimits {
    /// Maximum number of concurrent actions, including their verification: from 1 to 1,024. Default: 4.
    pub at_once: usize,
    /// Maximum number of actions within any 3,600 seconds: from 1 to 3,600. Default: 30. A process that needs more needs an
    /// operator.
    pub per_hour: u32,
    /// A file that keeps when actions began, by the wall clock, so that a restart does not reset
    /// [`per_hour`](Self::per_hour) and [`at_most_per_hour`](HealingSettings::at_most_per_hour). Each process needs its own
    /// file. It is written before each action, which waits at most 5 s for that. When it cannot be written, a warning is
    /// logged and the action runs. The backoff and the actions that did not help are not kept. Default: `None`.
    pub remember_in: Option<PathBuf>,
}

impl Default for HealingLimits {
    fn default() -> Self {
        Self { at_once: 4, per_hour: 30, remember_in: None }
    }
}

impl HealingLimits {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let at_once = self.at_once;
        let usable = (1..=1_024).contains(&at_once);
        ConfigError::check(usable, "healing.at_once", at_once, "from 1 to 1,024")?;
        let often = self.per_hour;
        ConfigError::check((1..=3_600).contains(&often), "healing.per_hour", often, "from 1 to 3,600")
    }
}
