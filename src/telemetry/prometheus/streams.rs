//! Instruments that make one family, and the name that it gets.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::{Metric, ResourceMetrics};

use super::names::{self, Named, digest, taken};
use super::points::{Read, numbers, read};
use crate::signal::METRICS;

/// The instruments of one meter that cannot be told apart by name, kind and unit are streams of one family.
pub(super) struct Stream<'a> {
    pub(super) scope: &'a InstrumentationScope,
    pub(super) metric: &'a Metric,
    pub(super) points: Vec<Read<'a>>,
    pub(super) named: Named,
    /// Whether it is a metric of this crate.
    pub(super) own: bool,
    /// How many before it are like it in all that the SDK tells.
    before: usize,
}

/// A family that may still get another name.
pub(super) struct Draft<'a> {
    pub(super) named: Named,
    pub(super) streams: Vec<Stream<'a>>,
    pub(super) own: bool,
    pub(super) step: u8,
    pub(super) family: String,
}

/// The resource, as Prometheus is told it.
pub(super) const TARGET: &str = "target";

impl Stream<'_> {
    /// In an order that does not depend on that of the SDK; equal only for streams that the SDK does not tell apart.
    fn order(&self, other: &Self) -> Ordering {
        let key = |it: &Self| {
            let scope = (it.scope.name(), it.scope.version(), it.scope.schema_url());
            (scope, attributes_of(it.scope), it.metric.unit(), it.metric.description(), numbers(it.metric))
        };
        // Most differ in the name.
        self.named.cmp(&other.named).then_with(|| key(self).cmp(&key(other)))
    }

    /// Stands for all that tells it from the other streams of its family.
    pub(super) fn digest(&self) -> String {
        let (scope, attributes) = (self.scope, attributes_of(self.scope).concat());
        digest([
            scope.name(),
            scope.version().unwrap_or_default(),
            scope.schema_url().unwrap_or_default(),
            &attributes,
            self.metric.unit(),
            self.metric.description(),
            numbers(self.metric),
            &self.before.to_string(),
        ])
    }
}

fn attributes_of(scope: &InstrumentationScope) -> Vec<String> {
    let mut attributes: Vec<_> = scope.attributes().map(|it| format!("{}={:?};", it.key, it.value)).collect();
    attributes.sort();
    attributes
}

/// The families by name, kind and unit of their instruments.
pub(super) fn drafts<'a>(metrics: &'a ResourceMetrics, own: &InstrumentationScope) -> Vec<Draft<'a>> {
    let mut streams = Vec::new();
    for scoped in metrics.scope_metrics() {
        let of_the_crate = scoped.scope() == own;
        for metric in scoped.metrics() {
            let Some((kind, points)) = read(metric).filter(|(_, points)| !points.is_empty()) else {
                continue;
            };
            let known = |it: &&&crate::signal::Metric| it.name == metric.name() && it.kind == kind;
            streams.push(Stream {
                scope: scoped.scope(),
                metric,
                points,
                named: Named::new(metric.name(), kind, names::unit(metric.unit())),
                own: of_the_crate && METRICS.iter().find(known).is_some(),
                before: 0,
            });
        }
    }
    // Those that are alike stay in the order in which their instruments were made.
    streams.sort_by(Stream::order);
    for place in 1..streams.len() {
        if streams[place].order(&streams[place - 1]).is_eq() {
            streams[place].before = streams[place - 1].before + 1;
        }
    }
    let mut drafts: BTreeMap<Named, Draft<'a>> = BTreeMap::new();
    for stream in streams {
        let draft = drafts.entry(stream.named.clone()).or_insert_with(|| Draft {
            family: stream.named.family(0),
            named: stream.named.clone(),
            streams: Vec::new(),
            own: false,
            step: 0,
        });
        draft.own |= stream.own;
        draft.streams.push(stream);
    }
    drafts.into_values().collect()
}

/// Who takes a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taker {
    Target,
    Draft(usize),
}

/// Gives every family a name that is in the way of no other. A name that several wanted is not given to any of them
/// later.
pub(super) fn settle(drafts: &mut [Draft<'_>]) {
    let mut takers: HashMap<String, Vec<Taker>> = HashMap::new();
    for name in [TARGET.to_owned(), format!("{TARGET}_info")] {
        takers.insert(name, vec![Taker::Target]);
    }
    let mut named: Vec<usize> = (0..drafts.len()).collect();
    while !named.is_empty() {
        for place in &named {
            let draft = &drafts[*place];
            for name in taken(&draft.family, draft.named.kind()) {
                takers.entry(name).or_default().push(Taker::Draft(*place));
            }
        }
        let in_the_way = |place: usize, taker: &Taker| match taker {
            Taker::Target => true,
            Taker::Draft(other) => *other != place && (!drafts[place].own || drafts[*other].own),
        };
        named = (0..drafts.len())
            .filter(|place| {
                let draft = &drafts[*place];
                taken(&draft.family, draft.named.kind()).any(|name| {
                    takers.get(&name).is_some_and(|it| it.iter().any(|it| in_the_way(*place, it)))
                })
            })
            .collect();
        for place in &named {
            let draft = &mut drafts[*place];
            draft.step = draft.step.saturating_add(1);
            draft.family = draft.named.family(draft.step);
        }
    }
}
