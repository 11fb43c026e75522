//! Which traces are kept.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Which traces are kept. Metrics and health count every span whatever this says.
///
/// The variable `OTEL_TRACES_SAMPLER`, with `OTEL_TRACES_SAMPLER_ARG`, wins over it.
///
/// # Example
/// ```
/// use campanile::telemetry::Sampling;
///
/// // One trace in a hundred, unless a caller has decided already.
/// let sampling = Sampling::parent_based(Sampling::Ratio(0.01));
/// # assert_eq!(sampling, serde_json::from_str(r#"{"parent_based": {"ratio": 0.01}}"#).unwrap());
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
    /// As the parent was decided; for a span without parent, by the inner rule.
    ParentBased(Box<Sampling>),
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Ratio(ratio) => {
                ConfigError::check((0.0..=1.0).contains(ratio), "sampling", ratio, "a ratio from 0 to 1")
            }
            Self::ParentBased(root) => root.check(),
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

    /// Whether a span of this trace with this parent is kept.
    pub(super) fn keeps(&self, trace_id: TraceId, parent: Option<&SpanContext>) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::Ratio(ratio) => in_ratio(trace_id, *ratio),
            Self::ParentBased(root) => match parent {
                Some(parent) => parent.is_sampled(),
                None => root.keeps(trace_id, None),
            },
        }
    }
}

/// Compares the low 63 bits of the trace id with the ratio, so that every service that does so agrees.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
// The arithmetic of the SDK, to the bit.
fn in_ratio(trace_id: TraceId, ratio: f64) -> bool {
    let low = u128::from_be_bytes(trace_id.to_bytes()) as u64;
    ratio >= 1.0 || (low >> 1) < (ratio.max(0.0) * (1_u64 << 63) as f64) as u64
}

/// The same rule for spans that are made through the OpenTelemetry API.
impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|cx| cx.span().span_context().clone()).filter(SpanContext::is_valid);
        let decision = if self.keeps(trace_id, parent.as_ref()) {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::Drop
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler};

    #[test]
    fn a_ratio_decides_as_the_sdk_does() {
        let ids = RandomIdGenerator::default();
        for ratio in [0.0, 0.001, 0.3, 0.5, 0.999, 1.0] {
            let theirs = Sampler::TraceIdRatioBased(ratio);
            let edge = TraceId::from(u128::from((ratio * (1_u64 << 63) as f64) as u64) << 1);
            for id in (0..1_000).map(|_| ids.new_trace_id()).chain([edge]) {
                let theirs = theirs.should_sample(None, id, "", &SpanKind::Internal, &[], &[]).decision
                    == SamplingDecision::RecordAndSample;
                assert_eq!(Sampling::Ratio(ratio).keeps(id, None), theirs, "{ratio} {id}");
            }
        }
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = Sampling::from_variables("traceidratio", Some("2")).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER_ARG");
        let error = Sampling::from_variables("sometimes", None).unwrap_err();
        assert_eq!(error.setting(), "OTEL_TRACES_SAMPLER");
    }
}
