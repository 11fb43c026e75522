//! Rate, errors and duration of spans, whether sampled or not.
//!
//! Everything is looked up by callsite; a name or a component that a field gives is looked up by its text. In
//! either case the second span finds instruments that are bound already.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use opentelemetry::metrics::Meter;
use tracing::Metadata;
use tracing::callsite::Identifier;

use super::exemplars::{Book, Exemplars, Witness};
use super::fields::Special;
use super::spans::Mix;
use crate::clock::Tick;
use crate::signal::{DurationRecorder, SPAN_DURATION, Vital, Vitals};
use crate::sync::Mutex;

/// Stands for a pair of component and span name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesId(u32);

/// What the layer knows about a callsite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callsite {
    /// Of a span without fields of its own that say otherwise.
    pub(super) series: SeriesId,
    pub(super) special: Special,
    /// Whether it belongs to the pipeline itself.
    pub(super) ignored: bool,
}

/// Rate, errors and duration of spans.
#[derive(Debug)]
pub(super) struct Red {
    meter: Meter,
    vitals: Arc<Vitals>,
    /// Distinct pairs of component and span name.
    capacity: usize,
    table: ArcSwap<Table>,
    names: RwLock<Names>,
    change: Mutex<()>,
    exemplars: Option<Arc<Book>>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    callsites: HashMap<Identifier, Callsite, BuildHasherDefault<Mix>>,
    series: Vec<Arc<Series>>,
}

#[derive(Debug, Default)]
struct Names {
    components: HashMap<Box<str>, Component>,
    /// Pairs, in all components.
    pairs: usize,
    /// For the pairs that find no room; a series that is there says that there are some.
    overflow: Option<Arc<Recorders>>,
}

#[derive(Debug)]
struct Component {
    names: HashMap<Box<str>, SeriesId>,
    /// For the names that found no room.
    overflow: Option<SeriesId>,
}

#[derive(Debug)]
struct Series {
    component: Box<str>,
    name: Box<str>,
    recorders: Arc<Recorders>,
    /// Made with the first span: a field may have given all spans of a callsite another component.
    vital: OnceLock<Arc<Vital>>,
}

#[derive(Debug)]
struct Recorders {
    fine: DurationRecorder,
    failed: DurationRecorder,
    /// Of both, if somebody wants them.
    exemplars: Option<[Arc<Exemplars>; 2]>,
}

/// Components on top of this many share one, as in [`Vitals`].
const OTHER: &str = "other";

impl Red {
    pub(super) fn new(
        meter: Meter,
        vitals: Arc<Vitals>,
        capacity: usize,
        exemplars: Option<Arc<Book>>,
    ) -> Self {
        Self {
            meter,
            vitals,
            capacity,
            table: ArcSwap::default(),
            names: RwLock::default(),
            change: Mutex::new(()),
            exemplars,
        }
    }

    /// What is known about the callsite of `metadata`.
    #[inline]
    pub(super) fn callsite(&self, metadata: &'static Metadata<'static>) -> Callsite {
        match self.table.load().callsites.get(&metadata.callsite()) {
            Some(callsite) => *callsite,
            None => self.meet(metadata),
        }
    }

    #[cold]
    fn meet(&self, metadata: &'static Metadata<'static>) -> Callsite {
        let callsite = Callsite {
            series: self.series(component_of(metadata.target()), metadata.name()),
            special: Special::of(metadata.fields()),
            ignored: of_the_pipeline(metadata.target()),
        };
        self.update(|table| {
            table.callsites.insert(metadata.callsite(), callsite);
        });
        callsite
    }

    /// The series of a component and a name.
    pub(super) fn series(&self, component: &str, name: &str) -> SeriesId {
        if let Some(id) = self
            .names
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .components
            .get(component)
            .and_then(|component| component.names.get(name).copied())
        {
            return id;
        }
        self.add_series(component, name)
    }

    #[cold]
    fn add_series(&self, component: &str, name: &str) -> SeriesId {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut *names;
        let component =
            if names.components.contains_key(component) || names.components.len() < Vitals::CAPACITY {
                component
            } else {
                OTHER
            };
        let known = names
            .components
            .entry(component.into())
            .or_insert_with(|| Component { names: HashMap::new(), overflow: None });
        if let Some(id) = known.names.get(name) {
            return *id;
        }
        if names.pairs < self.capacity {
            names.pairs += 1;
            let component_and_name = [("component", component), ("span.name", name)];
            let id = self.push(component, name, self.recorders(&component_and_name));
            known.names.insert(name.into(), id);
            return id;
        }
        let recorders =
            names.overflow.get_or_insert_with(|| self.recorders(&[("otel.metric.overflow", "true")]));
        *known.overflow.get_or_insert_with(|| self.push(component, "", Arc::clone(recorders)))
    }

    fn recorders(&self, attributes: &[(&'static str, &str)]) -> Arc<Recorders> {
        let recorder = |error: &'static str| {
            let error = [("error", Cow::Borrowed(error))];
            let others = attributes.iter().map(|(key, value)| (*key, Cow::Owned((*value).to_owned())));
            DurationRecorder::on(&self.meter, &SPAN_DURATION, others.chain(error))
        };
        let exemplars = self.exemplars.as_ref().map(|book| {
            ["false", "true"].map(|error| {
                book.series(&SPAN_DURATION, attributes.iter().copied().chain([("error", error)]))
            })
        });
        Arc::new(Recorders { fine: recorder("false"), failed: recorder("true"), exemplars })
    }

    fn push(&self, component: &str, name: &str, recorders: Arc<Recorders>) -> SeriesId {
        let vital = OnceLock::new();
        let series = Arc::new(Series { component: component.into(), name: name.into(), recorders, vital });
        let mut place = 0;
        self.update(|table| {
            place = table.series.len();
            table.series.push(Arc::clone(&series));
        });
        SeriesId(u32::try_from(place).unwrap_or(u32::MAX))
    }

    fn update(&self, change: impl FnOnce(&mut Table)) {
        let _one_at_a_time = self.change.lock();
        let mut table = Table::clone(&self.table.load());
        change(&mut table);
        self.table.store(Arc::new(table));
    }

    /// The series of a span whose name or component a field has changed.
    pub(super) fn renamed(&self, id: SeriesId, component: Option<&str>, name: Option<&str>) -> SeriesId {
        let table = self.table.load();
        let Some(old) = table.series.get(id.0 as usize) else { return id };
        self.series(component.unwrap_or(&old.component), name.unwrap_or(&old.name))
    }

    /// Takes in a span that ended at `now`.
    #[inline]
    pub(super) fn record(
        &self,
        id: SeriesId,
        now: Tick,
        duration: Duration,
        failed: bool,
        witness: Option<Witness>,
    ) {
        let table = self.table.load();
        let Some(series) = table.series.get(id.0 as usize) else { return };
        let recorder = if failed { &series.recorders.failed } else { &series.recorders.fine };
        recorder.record(duration);
        if let (Some(exemplars), Some(witness)) = (&series.recorders.exemplars, witness) {
            exemplars[usize::from(failed)].offer(duration, witness);
        }
        let vital = series.vital.get_or_init(|| self.vitals.component(&series.component));
        vital.record(now, duration, failed);
    }
}

/// The crate that a target belongs to.
fn component_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

/// Whether spans and events of this target come out of the pipeline, and must not go into it.
pub(super) fn of_the_pipeline(target: &str) -> bool {
    target.starts_with("opentelemetry") || target.starts_with("campanile::telemetry")
}
