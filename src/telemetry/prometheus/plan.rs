//! Which families there are, what they are called, and which series they have: settled before anything is written.
//!
//! A plan depends on what there is and not on the order in which the SDK tells it, so that the next scrape has the same.
//! Where several want one name or one series, all of them give it up and are told apart: a series that was stored
//! never goes on as that of another. Only metrics of this crate keep theirs, for dashboards rely on them.

use std::collections::BTreeSet;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;

use super::collisions::{Collided, Collision};
use super::labels::{self, Label, SCOPE_NAME, SCOPE_VERSION, STREAM, labels, tell_apart};
use super::names;
use super::points::{Number, Point};
use super::streams::{Draft, Stream, TARGET, drafts, settle};
use crate::signal::{ExemplarRegistry, Kind};

/// What is written, in its order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) families: Vec<Family>,
    pub(super) collisions: Vec<Collision>,
}

#[derive(Debug)]
pub(super) struct Family {
    /// Without what the names of its samples end with.
    pub(super) name: String,
    pub(super) kind: Exposed,
    /// What the name ends with, if it is a unit.
    pub(super) unit: Option<String>,
    pub(super) help: String,
    pub(super) series: Vec<(Vec<Label>, Point)>,
}

/// What a family is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposed {
    Counter,
    Gauge,
    Histogram,
    Info,
    /// A counter that stands below zero or at no number, which no counter may. Its samples keep their name.
    Unknown,
}

impl Plan {
    /// The plan for `metrics`. Those of the scope `own` that this crate knows are its own, and have their exemplars in
    /// `registry`.
    pub(super) fn new(
        metrics: &ResourceMetrics,
        own: &InstrumentationScope,
        registry: &ExemplarRegistry,
    ) -> Self {
        let mut plan = Self::default();
        let mut drafts = drafts(metrics, own);
        settle(&mut drafts);
        for draft in drafts {
            if draft.step > 0 {
                draft.streams.iter().for_each(|it| plan.collided(Collided::Name, it, &draft.family));
            }
            plan.add(draft, registry);
        }
        if !metrics.resource().is_empty() {
            let mut changed = BTreeSet::new();
            let resource = metrics.resource().iter().map(|(key, value)| (key.as_str(), value));
            plan.families.push(Family {
                name: TARGET.to_owned(),
                kind: Exposed::Info,
                unit: None,
                help: "Target metadata".to_owned(),
                series: vec![(labels(resource, &mut changed), Point::Number(Number::Unsigned(1)))],
            });
            for label in changed {
                plan.collisions.push(Collision::new(Collided::Label, "", "target_info", label));
            }
        }
        plan.families.sort_by(|left, right| left.name.cmp(&right.name));
        plan
    }

    fn collided(&mut self, how: Collided, stream: &Stream<'_>, exposed: &str) {
        let (scope, instrument) = (stream.scope.name(), stream.metric.name());
        self.collisions.push(Collision::new(how, scope, instrument, exposed.to_owned()));
    }

    fn add(&mut self, draft: Draft<'_>, registry: &ExemplarRegistry) {
        let help = self.help(&draft);
        let apart = self.apart(&draft);
        let mut series = Vec::new();
        for (stream, apart) in draft.streams.into_iter().zip(apart) {
            series.extend(self.series(stream, &apart, registry));
        }
        series.sort_by(|left, right| left.0.cmp(&right.0));
        let countable =
            || series.iter().all(|(_, point)| !matches!(point, Point::Number(number) if !number.counts()));
        let (kind, name) = match draft.named.kind() {
            Kind::Counter if countable() => (Exposed::Counter, draft.family),
            Kind::Counter => (Exposed::Unknown, format!("{}_total", draft.family)),
            Kind::UpDownCounter | Kind::Gauge => (Exposed::Gauge, draft.family),
            Kind::Histogram => (Exposed::Histogram, draft.family),
        };
        let unit = draft.named.unit.filter(|unit| names::ends_with(&name, unit));
        self.families.push(Family { name, kind, unit, help, series });
    }

    /// The description of a family: the first of its streams has a say, one of this crate before all others.
    fn help(&mut self, draft: &Draft<'_>) -> String {
        let first = |own| {
            let streams = draft.streams.iter().filter(|it| it.own == own);
            streams.map(|it| it.metric.description()).find(|it| !it.is_empty())
        };
        let help = first(true).or_else(|| first(false)).unwrap_or_default();
        for stream in draft.streams.iter().filter(|it| it.metric.description() != help) {
            self.collided(Collided::Description, stream, &draft.family);
        }
        help.to_owned()
    }

    /// The labels that tell the streams of a family apart, for each of them: their scopes, and where those are not
    /// enough a digest of all.
    fn apart(&mut self, draft: &Draft<'_>) -> Vec<Vec<Label>> {
        let streams = &draft.streams;
        if streams.len() == 1 {
            return vec![Vec::new()];
        }
        let alone = streams.iter().filter(|it| it.own).count() == 1;
        let keeps = |stream: &Stream<'_>| stream.own && alone;
        let mut apart: Vec<_> =
            streams.iter().map(|it| if keeps(it) { Vec::new() } else { scope_labels(it.scope) }).collect();
        // One without a label would go on as the stream that had no need of any while it was alone.
        let bare = streams.iter().zip(&apart).any(|(stream, apart)| apart.is_empty() && !keeps(stream));
        if bare || apart.iter().collect::<BTreeSet<_>>().len() < apart.len() {
            for (stream, apart) in streams.iter().zip(&mut apart).filter(|(it, _)| !keeps(it)) {
                labels::add(apart, STREAM, stream.digest());
                self.collided(Collided::Series, stream, STREAM);
            }
        }
        apart
    }

    fn series(
        &mut self,
        stream: Stream<'_>,
        apart: &[Label],
        registry: &ExemplarRegistry,
    ) -> Vec<(Vec<Label>, Point)> {
        let mut changed = BTreeSet::new();
        let (mut series, mut points) = (Vec::new(), Vec::new());
        for (attributes, mut point) in stream.points {
            let pairs = || attributes.iter().map(|it| (it.key.as_str(), &it.value));
            if let Point::Histogram(histogram) = &mut point
                && stream.own
            {
                histogram.exemplars = registry.find(stream.metric.name(), pairs());
            }
            let mut labels = labels(pairs(), &mut changed);
            apart.iter().for_each(|(name, value)| labels::add(&mut labels, name, value.clone()));
            series.push((labels, attributes));
            points.push(point);
        }
        let (scope, instrument) = (stream.scope.name(), stream.metric.name());
        if tell_apart(&mut series) {
            let label = labels::ATTRIBUTES.to_owned();
            self.collisions.push(Collision::new(Collided::Series, scope, instrument, label));
        }
        for label in changed {
            self.collisions.push(Collision::new(Collided::Label, scope, instrument, label));
        }
        series.into_iter().map(|(labels, _)| labels).zip(points).collect()
    }
}

fn scope_labels(scope: &InstrumentationScope) -> Vec<Label> {
    [(SCOPE_NAME, Some(scope.name())), (SCOPE_VERSION, scope.version())]
        .into_iter()
        .filter_map(|(label, value)| Some((label.to_owned(), value?.to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
