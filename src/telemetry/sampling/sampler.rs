//! The evaluation of sampling rules.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{self, SamplingDecision, SamplingResult, ShouldSample};

use super::policy::Sampling;
use crate::base::clock::{self, Tick};
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// A [`Sampling`] with its state, prepared for evaluation.
#[derive(Debug)]
pub(in crate::telemetry) struct Sampler {
    node: Node,
    /// Whether the rules depend on the name of a span.
    pub(in crate::telemetry) by_name: bool,
}

#[derive(Debug)]
enum Node {
    Always(bool),
    /// The sampler of the SDK.
    Ratio(trace::Sampler),
    PerSecond(RateLimit),
    ParentBased(Box<Node>),
    Rules(Vec<(Pattern, Node)>, Box<Node>),
}

/// A span to decide about.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Candidate<'a> {
    pub(in crate::telemetry) trace_id: TraceId,
    pub(in crate::telemetry) parent: Option<&'a SpanContext>,
    pub(in crate::telemetry) name: &'a str,
}

impl Sampler {
    pub(in crate::telemetry) fn new(sampling: &Sampling) -> Self {
        Self { node: Node::new(sampling), by_name: by_name(sampling) }
    }

    #[inline]
    pub(in crate::telemetry) fn keeps(&self, candidate: Candidate<'_>) -> bool {
        match &self.node {
            // The two most common cases, without a call.
            Node::Always(kept) => *kept,
            Node::ParentBased(root) => match candidate.parent {
                Some(parent) => parent.is_sampled(),
                None => root.keeps(candidate),
            },
            node => node.keeps(candidate),
        }
    }
}

fn by_name(sampling: &Sampling) -> bool {
    match sampling {
        Sampling::Rules { .. } => true,
        Sampling::ParentBased(root) => by_name(root),
        _ => false,
    }
}

impl Node {
    fn new(sampling: &Sampling) -> Self {
        match sampling {
            Sampling::AlwaysOn => Self::Always(true),
            Sampling::AlwaysOff => Self::Always(false),
            Sampling::Ratio(ratio) => Self::Ratio(trace::Sampler::TraceIdRatioBased(*ratio)),
            Sampling::PerSecond(traces) => Self::PerSecond(RateLimit::new(*traces)),
            Sampling::ParentBased(root) => Self::ParentBased(Box::new(Self::new(root))),
            Sampling::Rules { rules, otherwise } => Self::Rules(
                rules.iter().map(|rule| (Pattern::new(&rule.name), Self::new(&rule.sampling))).collect(),
                Box::new(Self::new(otherwise)),
            ),
        }
    }

    fn keeps(&self, candidate: Candidate<'_>) -> bool {
        match self {
            Self::Always(kept) => *kept,
            Self::Ratio(sampler) => {
                let kind = SpanKind::Internal;
                let result = sampler.should_sample(None, candidate.trace_id, "", &kind, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
            Self::PerSecond(limit) => limit.allows(clock::now()),
            Self::ParentBased(root) => match candidate.parent {
                Some(parent) => parent.is_sampled(),
                None => root.keeps(candidate),
            },
            Self::Rules(rules, otherwise) => rules
                .iter()
                .find_map(|(pattern, node)| pattern.matches(candidate.name).then_some(node))
                .unwrap_or(otherwise)
                .keeps(candidate),
        }
    }
}

/// A number of traces per second. Up to a tenth of them may come at once.
#[derive(Debug)]
struct RateLimit {
    /// The interval, in nanoseconds.
    step: u64,
    slack: u64,
    /// The theoretical time of the next one.
    next: AtomicU64,
}

impl RateLimit {
    fn new(per_second: u32) -> Self {
        let step = 1_000_000_000 / u64::from(per_second.max(1));
        Self { step, slack: 100_000_000_u64.saturating_sub(step), next: AtomicU64::new(0) }
    }

    fn allows(&self, now: Tick) -> bool {
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                let due = next.max(now.0);
                (due - now.0 <= self.slack).then_some(due + self.step)
            })
            .is_ok()
    }
}

/// A name pattern, in which `*` matches any text.
#[derive(Debug)]
struct Pattern(Vec<Box<str>>);

impl Pattern {
    fn new(pattern: &str) -> Self {
        Self(pattern.split('*').map(Into::into).collect())
    }

    fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|only| **only == *name);
        };
        let Some(mut rest) = name.strip_prefix(&**first) else { return false };
        for part in middle {
            match rest.find(&**part) {
                Some(place) => rest = &rest[place + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
}

/// The same rules for spans of the OpenTelemetry API.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct SharedSampler(pub(in crate::telemetry) std::sync::Arc<Sampler>);

impl ShouldSample for SharedSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|cx| cx.span().span_context().clone()).filter(SpanContext::is_valid);
        let decision = if self.0.keeps(Candidate { trace_id, parent: parent.as_ref(), name }) {
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
    use std::time::Duration;

    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

    use super::*;

    fn keeps(sampling: &Sampling, name: &str) -> bool {
        Sampler::new(sampling).keeps(Candidate { trace_id: TraceId::from(1), parent: None, name })
    }

    #[test]
    fn a_ratio_decides_as_the_sdk_does() {
        let ids = RandomIdGenerator::default();
        for ratio in [0.0, 0.001, 0.3, 0.5, 0.999, 1.0] {
            let theirs = opentelemetry_sdk::trace::Sampler::TraceIdRatioBased(ratio);
            let ours = Sampler::new(&Sampling::Ratio(ratio));
            let edge = TraceId::from(u128::from((ratio * (1_u64 << 63) as f64) as u64) << 1);
            for trace_id in (0..1_000).map(|_| ids.new_trace_id()).chain([edge]) {
                let theirs = theirs.should_sample(None, trace_id, "", &SpanKind::Internal, &[], &[]).decision
                    == SamplingDecision::RecordAndSample;
                let ours = ours.keeps(Candidate { trace_id, parent: None, name: "" });
                assert_eq!(ours, theirs, "{ratio} {trace_id}");
            }
        }
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let sampling = Sampling::AlwaysOff
            .except("GET /orders/*", Sampling::AlwaysOn)
            .except("GET *", Sampling::AlwaysOff)
            .except("*job*", Sampling::AlwaysOn)
            .except("exact", Sampling::AlwaysOn);
        for kept in ["GET /orders/7", "GET /orders/", "job", "a job done", "exact"] {
            assert!(keeps(&sampling, kept), "{kept}");
        }
        for dropped in ["GET /job", "GET /orders", "exactly", "inexact", ""] {
            assert!(!keeps(&sampling, dropped), "{dropped}");
        }
        assert!(
            !keeps(&Sampling::AlwaysOff.except("a*ba", Sampling::AlwaysOn), "a"),
            "no letter counts twice"
        );
    }

    #[test]
    fn the_rate_limit_holds_in_every_second() {
        for per_second in [1, 7, 100, 2_000] {
            let limit = RateLimit::new(per_second);
            let mut admitted = Vec::new();
            // Ten seconds with 10,000 calls per second.
            for step in 0..100_000_u64 {
                let now = Tick(Duration::from_secs(5).as_nanos() as u64 + step * 100_000);
                if limit.allows(now) {
                    admitted.push(now.0);
                }
            }
            let most = u64::from(per_second) + u64::from(per_second) / 10 + 1;
            for (place, start) in admitted.iter().enumerate() {
                let within = admitted[place..].iter().take_while(|at| **at < start + 1_000_000_000).count();
                assert!(within as u64 <= most, "{within} of {per_second} in a second");
            }
            assert!(
                admitted.len() as u64 >= u64::from(per_second) * 10,
                "{} of {per_second}",
                admitted.len()
            );
        }
    }
}
