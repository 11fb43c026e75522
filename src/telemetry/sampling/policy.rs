//! The sampling policy.

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The sampling policy of traces. Metrics and health count every span, sampled or not.
///
/// The variable `OTEL_TRACES_SAMPLER`, with `OTEL_TRACES_SAMPLER_ARG`, wins over it.
///
/// # Example
/// ```
/// use campanile::telemetry::Sampling;
///
/// // One trace in a hundred, and none of the probes, unless the caller has decided.
/// let sampling = Sampling::parent_based(Sampling::Ratio(0.01).except("GET /healthz", Sampling::AlwaysOff));
/// # let json = r#"{"parent_based": {"rules": {"rules": [{"name": "GET /healthz", "sampling": "always_off"}],
/// #     "otherwise": {"ratio": 0.01}}}}"#;
/// # assert_eq!(sampling, serde_json::from_str(json).unwrap());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampling {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// This share of the traces, chosen by trace id, like in the OpenTelemetry SDKs.
    Ratio(f64),
    /// The maximum number of traces per second, spread over the second: at least 1.
    PerSecond(u32),
    /// The decision of the parent; for a span without a parent, by the inner policy.
    ParentBased(Box<Sampling>),
    /// By the name of the span: the first rule that matches, otherwise `otherwise`.
    Rules {
        /// The rules, in order.
        rules: Vec<SamplingRule>,
        /// The policy if no rule matches.
        otherwise: Box<Sampling>,
    },
}

/// A rule for spans by name; made by [`Sampling::except`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SamplingRule {
    /// The name of the span (`otel.name`, if it is set); `*` stands for any text.
    pub name: String,
    /// The policy for these spans.
    pub sampling: Sampling,
}

impl Default for Sampling {
    /// Every trace, unless the caller has decided.
    fn default() -> Self {
        Self::parent_based(Self::AlwaysOn)
    }
}

impl Sampling {
    /// Takes the decision of the parent; for a span without a parent, that of `root`.
    #[must_use]
    pub fn parent_based(root: Self) -> Self {
        Self::ParentBased(Box::new(root))
    }

    /// Adds a rule: `sampling` for the spans named `name`, in which `*` stands for any text. The first rule that matches
    /// wins.
    #[must_use]
    pub fn except(self, name: impl Into<String>, sampling: Self) -> Self {
        let rule = SamplingRule { name: name.into(), sampling };
        match self {
            Self::Rules { mut rules, otherwise } => {
                rules.push(rule);
                Self::Rules { rules, otherwise }
            }
            other => Self::Rules { rules: vec![rule], otherwise: Box::new(other) },
        }
    }

    pub(in crate::telemetry) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Ratio(ratio) => {
                ConfigError::check((0.0..=1.0).contains(ratio), "sampling", ratio, "a ratio from 0 to 1")
            }
            Self::PerSecond(traces) => {
                ConfigError::check(*traces > 0, "sampling", traces, "at least 1 trace per second")
            }
            Self::ParentBased(root) => root.check(),
            Self::Rules { rules, otherwise } => {
                rules.iter().try_for_each(|rule| rule.sampling.check())?;
                otherwise.check()
            }
            Self::AlwaysOn | Self::AlwaysOff => Ok(()),
        }
    }

    /// The policy of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub(in crate::telemetry) fn from_variables(
        name: &str,
        argument: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let ratio = || match argument {
            None => Ok(Self::Ratio(1.0)),
            Some(text) => match text.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self::Ratio(ratio)),
                _ => Err(ConfigError::new("OTEL_TRACES_SAMPLER_ARG", text, "a ratio from 0 to 1")),
            },
        };
        Ok(match name {
            "always_on" => Self::AlwaysOn,
            "always_off" => Self::AlwaysOff,
            "traceidratio" => ratio()?,
            "parentbased_always_on" => Self::parent_based(Self::AlwaysOn),
            "parentbased_always_off" => Self::parent_based(Self::AlwaysOff),
            "parentbased_traceidratio" => Self::parent_based(ratio()?),
            _ => {
                return Err(ConfigError::new(
                    "OTEL_TRACES_SAMPLER",
                    name,
                    "always_on, always_off, traceidratio, or one of these with the prefix `parentbased_`",
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_variable_is_named() {
        let error = Sampling::from_variables("traceidratio", Some("2")).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER_ARG");
        let error = Sampling::from_variables("sometimes", None).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER");
    }
}
