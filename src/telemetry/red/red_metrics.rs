//! Finds the series of a span, and records the span in it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use opentelemetry::metrics::Meter;
use tracing::Metadata;
use tracing::callsite::Identifier;
use tracing::field::Visit;

use super::callsite::{self, Callsite, SeriesId};
use super::labels::{Labels, Values};
use super::rows::Rows;
use super::series::{Instruments, LONGEST, Recorders, Series};
use crate::base::clock::Tick;
use crate::base::cut::cut;
use crate::base::sync::Mutex;
use crate::signal::{ExemplarRegistry, ExemplarSpan, Vitals};
use crate::telemetry::fields::SpecialFields;
use crate::telemetry::hasher::IdHasher;
use crate::telemetry::origin::is_own_target;
use crate::telemetry::secrets::Secrets;
use crate::telemetry::targets::REQUESTS;

/// Rate, errors and duration of spans.
#[derive(Debug)]
pub(in crate::telemetry) struct RedMetrics {
    /// Unique in the process.
    id: u64,
    instruments: Instruments,
    vitals: Arc<Vitals>,
    labels: Labels,
    /// The maximum number of series.
    capacity: usize,
    callsites: ArcSwap<Callsites>,
    series: Rows<Series>,
    names: RwLock<Names>,
    change: Mutex<()>,
}

type Callsites = HashMap<Identifier, Callsite, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Default)]
struct Names {
    /// By component, name and labels, one after the other.
    known: HashMap<Box<str>, SeriesId>,
    components: HashSet<Box<str>>,
    /// The overflow series of components with too many names.
    overflow: HashMap<Box<str>, SeriesId>,
    /// The overflow series; made with the first overflow.
    overflowed: Option<Arc<Recorders>>,
    next: u32,
}

/// The maximum number of components. Others share one, as in [`Vitals`].
const OTHER: &str = "other";
/// Separates the parts of a key. It does not occur in ordinary text.
const SEPARATOR: char = '\u{1f}';

thread_local! {
    /// A buffer for a key, so that a lookup does not allocate.
    static KEY: Cell<String> = const { Cell::new(String::new()) };
}

impl RedMetrics {
    pub(in crate::telemetry) fn new(
        meter: Meter,
        vitals: Arc<Vitals>,
        capacity: usize,
        labels: Labels,
        exemplars: Option<Arc<ExemplarRegistry>>,
    ) -> Self {
        // The series, and an overflow series for each component.
        let rows = capacity + Vitals::CAPACITY + 1;
        Self {
            id: callsite::next_id(),
            instruments: Instruments { meter, exemplars },
            vitals,
            labels,
            capacity,
            callsites: ArcSwap::default(),
            series: Rows::with_capacity(rows),
            names: RwLock::default(),
            change: Mutex::new(()),
        }
    }

    /// The properties of the callsite of `metadata`.
    #[inline]
    pub(in crate::telemetry) fn callsite(&self, metadata: &'static Metadata<'static>) -> Callsite {
        callsite::cached(self.id, metadata, || {
            let known = self.callsites.load().get(&metadata.callsite()).copied();
            known.unwrap_or_else(|| self.add_callsite(metadata))
        })
    }

    #[cold]
    fn add_callsite(&self, metadata: &'static Metadata<'static>) -> Callsite {
        let callsite = Callsite {
            series: self.series(component_of(metadata.target()), metadata.name(), &self.labels.none()),
            special: SpecialFields::of(metadata.fields()),
            labelled: self.labels.any_of(metadata.fields()),
            ignored: is_own_target(metadata.target()),
            of_requests: REQUESTS.contains(&metadata.target()),
        };
        let _one_at_a_time = self.change.lock();
        let mut callsites = Callsites::clone(&self.callsites.load());
        callsites.insert(metadata.callsite(), callsite);
        self.callsites.store(Arc::new(callsites));
        callsite
    }

    /// Identifies this table of series in the process.
    #[inline]
    pub(in crate::telemetry) fn id(&self) -> u64 {
        self.id
    }

    /// The series of spans of a component with a name and without labels.
    pub(in crate::telemetry) fn named(&self, component: &str, name: &str) -> SeriesId {
        self.series(cut(component, LONGEST), cut(name, LONGEST), &self.labels.none())
    }

    /// The series of a component, a name and labels.
    fn series(&self, component: &str, name: &str, labels: &[Option<String>]) -> SeriesId {
        let mut key = KEY.try_with(Cell::take).unwrap_or_default();
        write_key(&mut key, component, name, labels);
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner).known.get(&*key).copied();
        let id = known.unwrap_or_else(|| self.add_series(component, name, labels));
        let _ = KEY.try_with(|room| room.set(key));
        id
    }

    #[cold]
    fn add_series(&self, component: &str, name: &str, labels: &[Option<String>]) -> SeriesId {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut *names;
        let room = names.components.contains(component) || names.components.len() < Vitals::CAPACITY;
        let component = if room { component } else { OTHER };
        names.components.insert(component.into());
        let mut key = String::new();
        write_key(&mut key, component, name, labels);
        if let Some(id) = names.known.get(&*key) {
            return *id;
        }
        if names.known.len() < self.capacity {
            let attributes = [("component", component), ("span.name", name)];
            let recorders = Recorders::new(attributes.into_iter().chain(self.labels.pairs(labels)));
            let id = self.push(&mut names.next, Series::new(component, name, labels, recorders));
            names.known.insert(key.into(), id);
            return id;
        }
        if let Some(id) = names.overflow.get(component) {
            return *id;
        }
        let recorders =
            names.overflowed.get_or_insert_with(|| Recorders::new([("otel.metric.overflow", "true")]));
        let series = Series::new(component, "", &self.labels.none(), Arc::clone(recorders));
        let id = self.push(&mut names.next, series);
        names.overflow.insert(component.into(), id);
        id
    }

    fn push(&self, next: &mut u32, series: Series) -> SeriesId {
        let id = SeriesId(*next);
        let fits = self.series.fill(id.0, series);
        debug_assert!(fits, "there are rows for all");
        *next += 1;
        id
    }

    /// The labels in `record`, if the callsite has a field that is a label.
    pub(in crate::telemetry) fn values(
        &self,
        callsite: Callsite,
        secrets: &Secrets,
        record: impl FnOnce(&mut dyn Visit),
    ) -> Option<Values> {
        callsite.labelled.then(|| self.labels.read(secrets, record)).flatten()
    }

    /// Whether exemplars are on.
    #[inline]
    pub(in crate::telemetry) fn keeps_exemplars(&self) -> bool {
        self.instruments.exemplars.is_some()
    }

    /// The series of a span whose fields set its name, component or labels.
    pub(in crate::telemetry) fn renamed(
        &self,
        id: SeriesId,
        component: Option<&str>,
        name: Option<&str>,
        values: Option<Values>,
    ) -> SeriesId {
        let Some(old) = self.series.get(id.0) else { return id };
        let mut labels: Vec<Option<String>> =
            old.labels.iter().map(|value| value.as_deref().map(ToOwned::to_owned)).collect();
        values.into_iter().flatten().for_each(|(place, value)| labels[place] = Some(value));
        let component = component.map_or(&*old.component, |component| cut(component, LONGEST));
        let name = name.map_or(&*old.name, |name| cut(name, LONGEST));
        self.series(component, name, &labels)
    }

    /// Counts a span that ended at `now`; `failure` is the type of its failure, or empty if unknown.
    #[inline]
    pub(in crate::telemetry) fn record(
        &self,
        id: SeriesId,
        now: Tick,
        duration: Duration,
        failure: Option<&str>,
        exemplar: Option<ExemplarSpan>,
    ) {
        if let Some(series) = self.series.get(id.0) {
            series.recorders.record(&self.instruments, duration, failure, exemplar);
            series.vital.record(&self.vitals, &series.component, now, duration, failure.is_some());
        }
    }

    /// Offers `exemplar` as the exemplar of a span that was counted before its trace was kept.
    pub(in crate::telemetry) fn offer(
        &self,
        id: SeriesId,
        duration: Duration,
        failure: Option<&str>,
        exemplar: ExemplarSpan,
    ) {
        if let Some(series) = self.series.get(id.0) {
            series.recorders.offer(duration, failure, exemplar);
        }
    }

    /// Records the buffered durations, before a collection.
    pub(in crate::telemetry) fn flush(&self) {
        self.series.iter().for_each(|series| series.recorders.flush());
    }
}

fn write_key(key: &mut String, component: &str, name: &str, labels: &[Option<String>]) {
    key.clear();
    key.push_str(component);
    key.push(SEPARATOR);
    key.push_str(name);
    for label in labels {
        key.push(SEPARATOR);
        if let Some(label) = label {
            // Distinguishes an empty label from a missing one.
            key.push('=');
            key.push_str(label);
        }
    }
}

/// The crate of a target.
fn component_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}
