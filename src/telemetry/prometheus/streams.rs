//! Groups instruments into families, and gives each family a unique name.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::{Metric, ResourceMetrics};

use super::names::{self, InstrumentId, digest, occupied};
use super::points::{AttributedPoint, number_type, read};
use crate::signal::METRICS;

/// One instrument. Instruments with the same name, kind and unit are streams of one family.
pub(super) struct Stream<'a> {
    pub(super) scope: &'a InstrumentationScope,
    pub(super) metric: &'a Metric,
    pub(super) points: Vec<AttributedPoint<'a>>,
    pub(super) id: InstrumentId,
    /// Whether it is a metric of this crate.
    pub(super) own: bool,
    /// The number of earlier streams that the SDK describes in exactly the same way.
    duplicates_before: usize,
}

/// A family whose name may still change.
pub(super) struct Draft<'a> {
    pub(super) id: InstrumentId,
    pub(super) streams: Vec<Stream<'a>>,
    pub(super) own: bool,
    pub(super) step: u8,
    pub(super) family: String,
}

/// The family of the resource, `target_info`.
pub(super) const TARGET: &str = "target";

impl Stream<'_> {
    /// An order that does not depend on that of the SDK. Two streams are equal only if the SDK describes them in the
    /// same way.
    fn order(&self, other: &Self) -> Ordering {
        let key = |it: &Self| {
            let scope = (it.scope.name(), it.scope.version(), it.scope.schema_url());
            (
                scope,
                attributes_of(it.scope),
                it.metric.unit(),
                it.metric.description(),
                number_type(it.metric),
            )
        };
        // Names first: most streams differ in them.
        self.id.cmp(&other.id).then_with(|| key(self).cmp(&key(other)))
    }

    /// A digest of everything that distinguishes it from the other streams of its family.
    pub(super) fn digest(&self) -> String {
        let (scope, attributes) = (self.scope, attributes_of(self.scope).concat());
        digest([
            scope.name(),
            scope.version().unwrap_or_default(),
            scope.schema_url().unwrap_or_default(),
            &attributes,
            self.metric.unit(),
            self.metric.description(),
            number_type(self.metric),
            &self.duplicates_before.to_string(),
        ])
    }
}

fn attributes_of(scope: &InstrumentationScope) -> Vec<String> {
    let mut attributes: Vec<_> = scope.attributes().map(|it| format!("{}={:?};", it.key, it.value)).collect();
    attributes.sort();
    attributes
}

/// The instruments of `metrics`, grouped into families by name, kind and unit.
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
                id: InstrumentId::new(metric.name(), kind, names::unit(metric.unit())),
                own: of_the_crate && METRICS.iter().find(known).is_some(),
                duplicates_before: 0,
            });
        }
    }
    // The sort is stable: equal streams stay in the order in which their instruments were made.
    streams.sort_by(Stream::order);
    for index in 1..streams.len() {
        if streams[index].order(&streams[index - 1]).is_eq() {
            streams[index].duplicates_before = streams[index - 1].duplicates_before + 1;
        }
    }
    let mut drafts: BTreeMap<InstrumentId, Draft<'a>> = BTreeMap::new();
    for stream in streams {
        let draft = drafts.entry(stream.id.clone()).or_insert_with(|| Draft {
            family: stream.id.family(0),
            id: stream.id.clone(),
            streams: Vec::new(),
            own: false,
            step: 0,
        });
        draft.own |= stream.own;
        draft.streams.push(stream);
    }
    drafts.into_values().collect()
}

/// The owner of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Target,
    Draft(usize),
}

/// Gives every family a unique name. A name for which several families competed stays unused.
pub(super) fn assign_names(drafts: &mut [Draft<'_>]) {
    let mut owners: HashMap<String, Vec<Owner>> = HashMap::new();
    for name in [TARGET.to_owned(), format!("{TARGET}_info")] {
        owners.insert(name, vec![Owner::Target]);
    }
    let mut renamed: Vec<usize> = (0..drafts.len()).collect();
    while !renamed.is_empty() {
        for index in &renamed {
            let draft = &drafts[*index];
            for name in occupied(&draft.family, draft.id.kind()) {
                owners.entry(name).or_default().push(Owner::Draft(*index));
            }
        }
        let conflicts = |index: usize, owner: &Owner| match owner {
            Owner::Target => true,
            Owner::Draft(other) => *other != index && (!drafts[index].own || drafts[*other].own),
        };
        renamed = (0..drafts.len())
            .filter(|index| {
                let draft = &drafts[*index];
                occupied(&draft.family, draft.id.kind())
                    .any(|name| owners.get(&name).is_some_and(|it| it.iter().any(|it| conflicts(*index, it))))
            })
            .collect();
        for index in &renamed {
            let draft = &mut drafts[*index];
            draft.step = draft.step.saturating_add(1);
            draft.family = draft.id.family(draft.step);
        }
    }
}
