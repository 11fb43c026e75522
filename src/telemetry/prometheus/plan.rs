//! The families of a scrape, their names and their series.
//!
//! A plan does not depend on the order in which the SDK reports the metrics, so that names stay the same from scrape to
//! scrape. If several instruments collide in a name or a series, all of them get another one: a stored series must not
//! continue with the values of another instrument. Only metrics of this crate keep their names, because dashboards use
//! them.

use std::collections::BTreeSet;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;

use super::collisions::Collision;
use super::labels::{self, Label, SCOPE_NAME, SCOPE_VERSION, STREAM, disambiguate, labels};
use super::names;
use super::points::{Number, Point};
use super::streams::{Draft, Stream, TARGET, assign_names, drafts};
use crate::signal::{ExemplarRegistry, Kind};
use crate::telemetry::counters::CollisionKind;

/// The families in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) families: Vec<Family>,
    pub(super) collisions: Vec<Collision>,
}

#[derive(Debug)]
pub(super) struct Family {
    /// Without the suffixes of its samples.
    pub(super) name: String,
    pub(super) kind: FamilyKind,
    /// The unit, if the name ends with it.
    pub(super) unit: Option<String>,
    pub(super) help: String,
    pub(super) series: Vec<(Vec<Label>, Point)>,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
    Info,
    /// A counter with a negative value or NaN, which the formats forbid. Its samples keep their name.
    Unknown,
}

impl Plan {
    /// The plan for `metrics`. Known metrics of the scope `own` belong to this crate, and have their exemplars in
    /// `registry`.
    pub(super) fn new(
        metrics: &ResourceMetrics,
        own: &InstrumentationScope,
        registry: &ExemplarRegistry,
    ) -> Self {
        let mut plan = Self::default();
        let mut drafts = drafts(metrics, own);
        assign_names(&mut drafts);
        for draft in drafts {
            if draft.step > 0 {
                draft
                    .streams
                    .iter()
                    .for_each(|it| plan.add_collision(CollisionKind::Name, it, &draft.family));
            }
            plan.add(draft, registry);
        }
        if !metrics.resource().is_empty() {
            let mut changed = BTreeSet::new();
            let resource = metrics.resource().iter().map(|(key, value)| (key.as_str(), value));
            plan.families.push(Family {
                name: TARGET.to_owned(),
                kind: FamilyKind::Info,
                unit: None,
                help: "Target metadata".to_owned(),
                series: vec![(labels(resource, &mut changed), Point::Number(Number::Unsigned(1)))],
            });
            for label in changed {
                plan.collisions.push(Collision::new(CollisionKind::Label, "", "target_info", label));
            }
        }
        plan.families.sort_by(|left, right| left.name.cmp(&right.name));
        plan
    }

    fn add_collision(&mut self, kind: CollisionKind, stream: &Stream<'_>, exposed: &str) {
        let (scope, instrument) = (stream.scope.name(), stream.metric.name());
        self.collisions.push(Collision::new(kind, scope, instrument, exposed.to_owned()));
    }

    fn add(&mut self, draft: Draft<'_>, registry: &ExemplarRegistry) {
        let help = self.help(&draft);
        let stream_labels = self.stream_labels(&draft);
        let mut series = Vec::new();
        for (stream, labels) in draft.streams.into_iter().zip(stream_labels) {
            series.extend(self.series(stream, &labels, registry));
        }
        series.sort_by(|left, right| left.0.cmp(&right.0));
        let valid_counter = || {
            series.iter().all(|(_, point)| !matches!(point, Point::Number(number) if !number.fits_counter()))
        };
        let (kind, name) = match draft.id.kind() {
            Kind::Counter if valid_counter() => (FamilyKind::Counter, draft.family),
            Kind::Counter => (FamilyKind::Unknown, format!("{}_total", draft.family)),
            Kind::UpDownCounter | Kind::Gauge => (FamilyKind::Gauge, draft.family),
            Kind::Histogram => (FamilyKind::Histogram, draft.family),
        };
        let unit = draft.id.unit.filter(|unit| names::ends_with(&name, unit));
        self.families.push(Family { name, kind, unit, help, series });
    }

    /// The description of a family: that of this crate's stream, else the first.
    fn help(&mut self, draft: &Draft<'_>) -> String {
        let first = |own| {
            let streams = draft.streams.iter().filter(|it| it.own == own);
            streams.map(|it| it.metric.description()).find(|it| !it.is_empty())
        };
        let help = first(true).or_else(|| first(false)).unwrap_or_default();
        for stream in draft.streams.iter().filter(|it| it.metric.description() != help) {
            self.add_collision(CollisionKind::Description, stream, &draft.family);
        }
        help.to_owned()
    }

    /// For each stream of a family, the labels that distinguish it from the others: its scope, and a digest if scopes
    /// do not suffice.
    fn stream_labels(&mut self, draft: &Draft<'_>) -> Vec<Vec<Label>> {
        let streams = &draft.streams;
        if streams.len() == 1 {
            return vec![Vec::new()];
        }
        let one_own = streams.iter().filter(|it| it.own).count() == 1;
        let unlabelled = |stream: &Stream<'_>| stream.own && one_own;
        let mut all: Vec<_> = streams
            .iter()
            .map(|it| if unlabelled(it) { Vec::new() } else { scope_labels(it.scope) })
            .collect();
        // A stream without labels would continue the series of the stream that was alone in the family before.
        let missing =
            streams.iter().zip(&all).any(|(stream, labels)| labels.is_empty() && !unlabelled(stream));
        if missing || all.iter().collect::<BTreeSet<_>>().len() < all.len() {
            for (stream, labels) in streams.iter().zip(&mut all).filter(|(it, _)| !unlabelled(it)) {
                labels::insert(labels, STREAM, stream.digest());
                self.add_collision(CollisionKind::Series, stream, STREAM);
            }
        }
        all
    }

    fn series(
        &mut self,
        stream: Stream<'_>,
        stream_labels: &[Label],
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
            stream_labels.iter().for_each(|(name, value)| labels::insert(&mut labels, name, value.clone()));
            series.push((labels, attributes));
            points.push(point);
        }
        let (scope, instrument) = (stream.scope.name(), stream.metric.name());
        if disambiguate(&mut series) {
            let label = labels::ATTRIBUTES.to_owned();
            self.collisions.push(Collision::new(CollisionKind::Series, scope, instrument, label));
        }
        for label in changed {
            self.collisions.push(Collision::new(CollisionKind::Label, scope, instrument, label));
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
