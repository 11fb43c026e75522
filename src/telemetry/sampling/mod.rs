//! Which traces are kept.

mod sampler;
mod tail;

use serde::{Deserialize, Serialize};

pub(super) use self::sampler::{Candidate, Sampler, SharedSampler};
pub(super) use self::tail::Tail;
pub use self::tail::TailSampling;
use crate::error::ConfigError;

/// Which traces are kept. Metrics and health count every span whatever this says.
///
/// The variable `OTEL_TRACES_SAMPLER`, with `OTEL_TRACES_SAMPLER_ARG`, wins over it.
///
/// # Example
/// ```
/// use campanile::telemetry::Sampling;
///
/// // One trace in a hundred, and none of the probes, unless a caller has decided already.
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
    /// None.
    AlwaysOff,
    /// This share of the traces, chosen by trace id as the OpenTelemetry SDKs choose.
    Ratio(f64),
    /// The most traces a second, spread over the second: at least 1.
    PerSecond(u32),
    /// As the parent was decided; for a span without parent, by the inner rule.
    ParentBased(Box<Sampling>),
    /// By the name of the span: the first rule that fits, else the last.
    Rules {
        /// Tried one after the other.
        rules: Vec<SamplingRule>,
        /// Where none of them fits.
        otherwise: Box<Sampling>,
    },
}

/// A rule for the spans of some names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SamplingRule {
    /// The name, `otel.name` if the span has one; a `*` in it stands for any text.
    pub name: String,
    /// What holds for them.
    pub sampling: Sampling,
}

impl Default for Sampling {
    /// Every trace, unless a caller has decided otherwise.
    fn default() -> Self {
        Self::parent_based(Self::AlwaysOn)
    }
}

impl Sampling {
    /// As the parent was decided; for a span without parent, by `root`.
    #[must_use]
    pub fn parent_based(root: Self) -> Self {
        Self::ParentBased(Box::new(root))
    }

    /// This, but `sampling` for the spans called `name`, in which a `*` stands for any text. Of several that fit,
    /// the one said first holds.
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Ratio(ratio) => {
                ConfigError::check((0.0..=1.0).contains(ratio), "sampling", ratio, "a ratio from 0 to 1")
            }
            Self::PerSecond(traces) => {
                ConfigError::check(*traces > 0, "sampling", traces, "at least one trace a second")
            }
            Self::ParentBased(root) => root.check(),
            Self::Rules { rules, otherwise } => {
                rules.iter().try_for_each(|rule| rule.sampling.check())?;
                otherwise.check()
            }
            Self::AlwaysOn | Self::AlwaysOff => Ok(()),
        }
    }

    /// The rule that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` name.
    pub(super) fn from_variables(name: &str, argument: Option<&str>) -> Result<Self, ConfigError> {
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
                    "always_on, always_off or traceidratio, each also after `parentbased_`",
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_variable_is_named() {
        let error = Sampling::from_variables("traceidratio", Some("2")).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER_ARG");
        let error = Sampling::from_variables("sometimes", None).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER");
    }
}
