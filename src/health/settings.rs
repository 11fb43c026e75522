use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "predict")]
use super::predict::PredictSettings;
use super::status::Status;
use crate::base::error::ConfigError;

/// The limits that health is judged by; see [how a score is computed](crate::health#how-a-score-is-computed).
///
/// # Example
/// ```
/// use campanile::health::{Health, HealthSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let health = Health::standalone();
/// health.configure(serde_json::from_str(r#"{ "error_share": 0.02, "mean_duration": "800ms" }"#)?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Minimum number of calls in the last minute for which the share of errors and the mean duration are judged. A
    /// component with fewer calls and no other evidence is `Unknown`. At least 1. Default 5.
    pub minimum_calls: u64,
    /// Limit of the share of calls of the last minute that failed, compared with the lower bound of the share at 99 %
    /// confidence: more than 0, at most 1. Default 0.1, which 4 failures of 10, 12 of 60 and 78 of 600 reach.
    pub error_share: f64,
    /// Limit of failures in a row: at least 1. Default 3.
    pub consecutive_failures: u64,
    /// Limit of the mean duration of the calls of the last minute, compared with its lower bound at 99 % confidence: more
    /// than zero. Default 5 s.
    #[serde(with = "crate::base::duration")]
    pub mean_duration: Duration,
    /// Limit of the mean duration in robust standard deviations above what is usual for the component: more than 0. It
    /// applies once the warm-up of prediction is over. Default 6.
    pub slower_than_usual: f64,
    /// A mean duration up to this never counts as slower than usual. Default 10 ms.
    #[serde(with = "crate::base::duration")]
    pub slow_from: Duration,
    /// Limit of waiting dead letters: at least 1. Default 100.
    pub letters: u64,
    /// Limit of the age of the oldest waiting dead letter: more than zero. Default 1 h.
    #[serde(with = "crate::base::duration")]
    pub oldest_letter: Duration,
    /// Limit of the number of components that are not well, which means `Degraded` or worse and not optional: at least 1.
    /// From this number on, the overall status is `Unhealthy` at best; below it, one such component makes it `Degraded`, as
    /// without a limit. It does not change the readiness, which follows the critical components. Default `None`: the number
    /// has no limit. 2 means "one: degraded, several: unhealthy".
    pub unwell_components: Option<u64>,
    /// The maximum cost of each reason.
    pub weights: Weights,
    /// The scores at which one status ends and the next begins.
    pub thresholds: Thresholds,
    /// How long probes and metrics use a snapshot before they take a new one: at most one minute. Default 1 s.
    #[serde(with = "crate::base::duration")]
    pub cached_for: Duration,
    /// How often a snapshot is taken without a caller, so that trends are measured and healings start: from one second to
    /// one minute. Default 10 s.
    #[serde(with = "crate::base::duration")]
    pub round: Duration,
    /// When a vital sign is unusual, and how far ahead forecasts look.
    #[cfg(feature = "predict")]
    #[cfg_attr(docsrs, doc(cfg(feature = "predict")))]
    pub predict: PredictSettings,
}

/// The maximum cost of each reason: from 0, which turns the reason off, to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// For the share of errors. Default 1.
    pub error_share: f64,
    /// For failures in a row. Default 0.5.
    pub consecutive_failures: f64,
    /// For the mean duration. Default 0.5.
    pub mean_duration: f64,
    /// For a mean duration above what is usual. Default 0.25.
    pub slower_than_usual: f64,
    /// For an open circuit, forced or not. Default 0.75.
    pub circuit_open: f64,
    /// For a half-open circuit. Default 0.25.
    pub circuit_half_open: f64,
    /// For waiting dead letters. Default 0.5.
    pub letters: f64,
    /// For the age of the oldest dead letter. Default 0.25.
    pub oldest_letter: f64,
    /// For figures of a machine or device at their warning threshold, all figures of one component together. Default 0.25.
    pub machine_warning: f64,
    /// The same, if one of the figures is at its critical threshold. Default 0.5.
    pub machine_critical: f64,
    /// For failing checks, all checks of one component together. Default 0.75.
    pub check_failed: f64,
    /// For checks that warn, all checks of one component together. Default 0.25.
    pub check_warning: f64,
}

/// The score that each status needs. Each threshold is less than the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// A score above this is `Healthy`. Less than 1. Default 0.75.
    pub healthy: f64,
    /// A score above this is `Degraded`. Default 0.5.
    pub degraded: f64,
    /// A score above this is `Unhealthy`, any other is `Critical`. At least 0. Default 0.2.
    pub unhealthy: f64,
    /// A status gets better only when the score is above the threshold by more than this. It gets worse at once. At
    /// least 0, and `healthy` plus this must be less than 1. Default 0.05.
    pub margin: f64,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            minimum_calls: 5,
            error_share: 0.1,
            consecutive_failures: 3,
            mean_duration: Duration::from_secs(5),
            slower_than_usual: 6.0,
            slow_from: Duration::from_millis(10),
            letters: 100,
            oldest_letter: Duration::from_secs(3_600),
            unwell_components: None,
            weights: Weights::default(),
            thresholds: Thresholds::default(),
            cached_for: Duration::from_secs(1),
            round: Duration::from_secs(10),
            #[cfg(feature = "predict")]
            predict: PredictSettings::default(),
        }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            error_share: 1.0,
            consecutive_failures: 0.5,
            mean_duration: 0.5,
            slower_than_usual: 0.25,
            circuit_open: 0.75,
            circuit_half_open: 0.25,
            letters: 0.5,
            oldest_letter: 0.25,
            machine_warning: 0.25,
            machine_critical: 0.5,
            check_failed: 0.75,
            check_warning: 0.25,
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { healthy: 0.75, degraded: 0.5, unhealthy: 0.2, margin: 0.05 }
    }
}

impl HealthSettings {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        const ONE: &str = "at least 1";
        const SOME: &str = "more than zero";
        ConfigError::check(self.minimum_calls >= 1, "health.minimum_calls", self.minimum_calls, ONE)?;
        ConfigError::check(
            self.error_share > 0.0 && self.error_share <= 1.0,
            "health.error_share",
            self.error_share,
            "more than 0 and at most 1",
        )?;
        let failures = self.consecutive_failures;
        ConfigError::check(failures >= 1, "health.consecutive_failures", failures, ONE)?;
        let mean = self.mean_duration;
        ConfigError::check(!mean.is_zero(), "health.mean_duration", mean, SOME)?;
        let usual = self.slower_than_usual;
        let usable = usual.is_finite() && usual > 0.0;
        ConfigError::check(usable, "health.slower_than_usual", usual, "finite and more than 0")?;
        ConfigError::check(self.letters >= 1, "health.letters", self.letters, ONE)?;
        let oldest = self.oldest_letter;
        ConfigError::check(!oldest.is_zero(), "health.oldest_letter", oldest, SOME)?;
        let unwell = self.unwell_components;
        ConfigError::check(unwell.is_none_or(|limit| limit >= 1), "health.unwell_components", unwell, ONE)?;
        ConfigError::check(
            self.cached_for <= Duration::from_secs(60),
            "health.cached_for",
            self.cached_for,
            "at most one minute",
        )?;
        let round = Duration::from_secs(1)..=Duration::from_secs(60);
        ConfigError::check(round.contains(&self.round), "health.round", self.round, "from 1 s to 1 min")?;
        #[cfg(feature = "predict")]
        self.predict.validate()?;
        self.weights.validate()?;
        self.thresholds.validate()
    }
}

impl Weights {
    fn validate(&self) -> Result<(), ConfigError> {
        let weights = [
            ("health.weights.error_share", self.error_share),
            ("health.weights.consecutive_failures", self.consecutive_failures),
            ("health.weights.mean_duration", self.mean_duration),
            ("health.weights.slower_than_usual", self.slower_than_usual),
            ("health.weights.circuit_open", self.circuit_open),
            ("health.weights.circuit_half_open", self.circuit_half_open),
            ("health.weights.letters", self.letters),
            ("health.weights.oldest_letter", self.oldest_letter),
            ("health.weights.machine_warning", self.machine_warning),
            ("health.weights.machine_critical", self.machine_critical),
            ("health.weights.check_failed", self.check_failed),
            ("health.weights.check_warning", self.check_warning),
        ];
        weights.into_iter().try_for_each(|(setting, weight)| {
            ConfigError::check((0.0..=1.0).contains(&weight), setting, weight, "from 0 to 1")
        })
    }
}

impl Thresholds {
    fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            self.healthy > self.degraded && self.healthy < 1.0,
            "health.thresholds.healthy",
            self.healthy,
            "less than 1 and more than `degraded`",
        )?;
        ConfigError::check(
            self.degraded > self.unhealthy,
            "health.thresholds.degraded",
            self.degraded,
            "more than `unhealthy`",
        )?;
        let unhealthy = self.unhealthy;
        ConfigError::check(unhealthy >= 0.0, "health.thresholds.unhealthy", unhealthy, "at least 0")?;
        ConfigError::check(
            self.margin >= 0.0 && self.healthy + self.margin < 1.0,
            "health.thresholds.margin",
            self.margin,
            "at least 0 and less than 1 minus `healthy`",
        )
    }

    /// The status for a score, after the status `before`.
    pub(super) fn status_after(&self, before: Option<Status>, score: f64) -> Status {
        let status = self.status(score);
        match before {
            // The status must not flap with a score that moves around a threshold.
            Some(before) if before > status => self.status(score - self.margin).min(before),
            _ => status,
        }
    }

    fn status(&self, score: f64) -> Status {
        if score > self.healthy {
            Status::Healthy
        } else if score > self.degraded {
            Status::Degraded
        } else if score > self.unhealthy {
            Status::Unhealthy
        } else {
            Status::Critical
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BETTER_TO_WORSE: [Status; 4] =
        [Status::Healthy, Status::Degraded, Status::Unhealthy, Status::Critical];

    proptest! {
        #[test]
        fn a_score_that_moves_around_a_threshold_changes_the_status_once(
            threshold in 0_usize..3,
            moves in prop::collection::vec(-0.05_f64..=0.05, 1..100),
            first in prop::option::of(prop::sample::select(&BETTER_TO_WORSE[..])),
        ) {
            let thresholds = Thresholds::default();
            let middle = [thresholds.healthy, thresholds.degraded, thresholds.unhealthy][threshold];
            let (mut status, mut changes) = (first, 0);
            for offset in moves {
                let next = thresholds.status_after(status, middle + offset);
                changes += u32::from(status.is_some_and(|status| status != next));
                status = Some(next);
            }
            // One change from the first status, and one for the worse.
            prop_assert!(changes <= 2, "{changes}");
        }

        #[test]
        fn a_status_gets_worse_at_once_and_better_only_beyond_the_margin(
            before in prop::sample::select(&Status::ALL[..]),
            score in 0.0_f64..=1.0,
        ) {
            let thresholds = Thresholds::default();
            let (fresh, status) = (thresholds.status(score), thresholds.status_after(Some(before), score));
            prop_assert!(status >= fresh);
            prop_assert!(status == fresh || status <= before, "a better score must not make the status worse");
            if fresh >= before || thresholds.status(score - thresholds.margin) == fresh {
                prop_assert_eq!(status, fresh);
            }
        }
    }
}
