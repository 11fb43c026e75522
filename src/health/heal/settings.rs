//! The limits of one healing, and those of all.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hour::HOUR;
use crate::Backoff;
use crate::base::error::ConfigError;

/// How carefully a healing acts, as a file can hold it. Unknown keys are refused.
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
    /// Maximum number of beginnings within any 3,600 seconds, of this process unless
    /// [`HealingLimits::remember_in`] names a file: from 1 to 60. A dry run counts as what it stands for.
    /// Default 3.
    pub at_most_per_hour: u32,
    /// How long it waits from the end of one action to the next: longer with each that did not help. Default: one
    /// minute, doubling up to half an hour, with equal jitter.
    pub backoff: Backoff,
    /// An action that takes longer is ended: more than zero, at most an hour. Default one minute.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// Whether to look if it helped. Without, each action that did not fail counts as one that helped. Default yes.
    pub verify: bool,
    /// So long after the action comes the first look whether it helped, and then one look after the other: at least
    /// 100 ms. Default 10 s.
    #[serde(with = "crate::base::duration")]
    pub verify_after: Duration,
    /// So long after the action comes the last look: at least [`verify_after`](Self::verify_after), at most an hour.
    /// Default 90 s: what is judged by the calls of the last minute cannot be well before that minute is over.
    #[serde(with = "crate::base::duration")]
    pub verify_within: Duration,
    /// When nothing has called for it for so long, it begins anew: the shortest wait, and another escalation. More than
    /// zero. Default 10 min.
    #[serde(with = "crate::base::duration")]
    pub well_after: Duration,
    /// Number of actions in a row that did not help after which it escalates: at least 1. Default 3.
    pub escalate_after: u32,
    /// Does everything but the action and the escalation. Default no.
    pub dry_run: bool,
    /// Acts though the component fails because of another that it depends on. Default no: to restart what is a victim
    /// mends nothing, and is how a storm begins.
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
    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// When one is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
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

/// What holds for all healings of one health together; see [`Health::limit_healing`](crate::Health::limit_healing).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealingLimits {
    /// Maximum number of actions at once, including their verification: from 1 to 1,024. Default 4.
    pub at_once: usize,
    /// Maximum number of beginnings within any 3,600 seconds: from 1 to 3,600. Default 30: a process that needs more needs
    /// a person.
    pub per_hour: u32,
    /// A file that keeps when healings began, by the wall clock, so that the hour of [`per_hour`](Self::per_hour) and
    /// [`at_most_per_hour`](HealingSettings::at_most_per_hour) does not begin anew with each restart. It is written before
    /// an action begins, which waits up to 5 s for that; each process needs one of its own. Where it cannot be written
    /// later, a warning says so and the action begins. Waits and what did not help are not kept. Default: none, and the
    /// hour begins with the process.
    pub remember_in: Option<PathBuf>,
}

impl Default for HealingLimits {
    fn default() -> Self {
        Self { at_once: 4, per_hour: 30, remember_in: None }
    }
}

impl HealingLimits {
    /// Whether both are in their range.
    ///
    /// # Errors
    /// When one is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let at_once = self.at_once;
        let usable = (1..=1_024).contains(&at_once);
        ConfigError::check(usable, "healing.at_once", at_once, "from 1 to 1,024")?;
        let often = self.per_hour;
        ConfigError::check((1..=3_600).contains(&often), "healing.per_hour", often, "from 1 to 3,600")
    }
}
