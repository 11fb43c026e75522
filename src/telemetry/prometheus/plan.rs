//! Which families there are, what they are called, and which series they have: settled before anything is written.
//!
//! A plan depends on what there is and not on the order in which the SDK tells it, so that the next scrape has the same.
//! Where several want one name or one series, all of them give it up and are told apart: a series that somebody has
//! stored never goes on as that of another. Only metrics of this crate keep theirs, for dashboards rely on them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::{Metric, ResourceMetrics};

use super::collisions::{Collided, Collision};
use super::labels::{self, Label, SCOPE_NAME, SCOPE_VERSION, STREAM, labels, tell_apart};
use super::names::{self, Named, digest, taken};
use super::points::{Number, Point, Read, numbers, read};
use crate::signal::{Book, Kind, METRICS};

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

/// The instruments of one meter that cannot be told apart by name, kind and unit are streams of one family.
struct Stream<'a> {
    scope: &'a InstrumentationScope,
    metric: &'a Metric,
    points: Vec<Read<'a>>,
    named: Named,
    /// Whether it is a metric of this crate.
    own: bool,
    /// How many before it are like it in all that the SDK tells.
    before: usize,
}

/// A family that may still get another name.
struct Draft<'a> {
    named: Named,
    streams: Vec<Stream<'a>>,
    own: bool,
    step: u8,
    family: String,
}

/// The resource, as Prometheus is told it.
const TARGET: &str = "target";

impl Plan {
    /// The plan for `metrics`. Those of the scope `own` that this crate knows are its own, and have their exemplars in
    /// `book`.
    pub(super) fn new(metrics: &ResourceMetrics, own: &InstrumentationScope, book: &Book) -> Self {
        let mut plan = Self::default();
        let mut drafts = drafts(metrics, own);
        settle(&mut drafts);
        for draft in drafts {
            if draft.step > 0 {
                draft.streams.iter().for_each(|it| plan.collided(Collided::Name, it, &draft.family));
            }
            plan.add(draft, book);
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

    fn add(&mut self, draft: Draft<'_>, book: &Book) {
        let help = self.help(&draft);
        let apart = self.apart(&draft);
        let mut series = Vec::new();
        for (stream, apart) in draft.streams.into_iter().zip(apart) {
            series.extend(self.series(stream, &apart, book));
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

    fn series(&mut self, stream: Stream<'_>, apart: &[Label], book: &Book) -> Vec<(Vec<Label>, Point)> {
        let mut changed = BTreeSet::new();
        let (mut series, mut points) = (Vec::new(), Vec::new());
        for (attributes, mut point) in stream.points {
            let pairs = || attributes.iter().map(|it| (it.key.as_str(), &it.value));
            if let Point::Histogram(histogram) = &mut point
                && stream.own
            {
                histogram.exemplars = book.find(stream.metric.name(), pairs());
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
    fn digest(&self) -> String {
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
fn drafts<'a>(metrics: &'a ResourceMetrics, own: &InstrumentationScope) -> Vec<Draft<'a>> {
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
fn settle(drafts: &mut [Draft<'_>]) {
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
