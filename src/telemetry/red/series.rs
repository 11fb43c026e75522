//! The counters of the spans of one name.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::metrics::Meter;

use super::event_counts::ComponentEvents;
use crate::base::cut::cut;
use crate::base::per_thread::PerThread;
use crate::base::sync::Mutex;
use crate::signal::capacity::FAILURES;
use crate::signal::{BoundDuration, CachedVital, ExemplarRegistry, ExemplarSpan, Exemplars, SPAN_DURATION};

/// The maximum bytes of a component, name or type of failure from a field.
pub(super) const LONGEST: usize = 256;

/// The counters of the spans of one component, name and value of each label.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) component: Box<str>,
    pub(super) name: Box<str>,
    /// By the index of the label; `None` for spans without that field.
    pub(super) labels: Box<[Option<Box<str>>]>,
    pub(super) recorders: Arc<Recorders>,
    pub(super) vital: CachedVital,
    /// The events of the component.
    pub(super) events: Arc<ComponentEvents>,
}

impl Series {
    pub(super) fn new(
        component: &str,
        name: &str,
        labels: &[Option<String>],
        recorders: Arc<Recorders>,
        events: Arc<ComponentEvents>,
    ) -> Self {
        Self {
            component: component.into(),
            name: name.into(),
            labels: labels.iter().map(|value| value.as_deref().map(Into::into)).collect(),
            recorders,
            vital: CachedVital::default(),
            events,
        }
    }
}

/// Makes the instruments of series.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) meter: Meter,
    /// The exemplars, if they are on.
    pub(super) exemplars: Option<Arc<ExemplarRegistry>>,
}

/// The instruments of a series. Each is bound with the first span that needs it, so that unused ones are not exported.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    attributes: Box<[(Box<str>, Box<str>)]>,
    fine: OnceLock<Recorder>,
    /// Failures without a type, or beyond the maximum number of types.
    failed: OnceLock<Recorder>,
    kinds: RwLock<HashMap<Box<str>, Arc<Recorder>>>,
}

#[derive(Debug)]
struct Recorder {
    duration: BoundDuration,
    /// Durations that are not yet recorded, because the instrument has one lock for all threads.
    buffers: PerThread<Buffer>,
    exemplars: Option<Arc<Exemplars>>,
}

/// Durations of some threads, on separate cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Buffer(Mutex<Durations>);

/// The number of durations that fit into two cache lines with their lock.
const BUFFERED: usize = 14;

#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    count: usize,
    durations: [Duration; BUFFERED],
}

impl Recorder {
    #[inline]
    fn record(&self, duration: Duration, exemplar: Option<ExemplarSpan>) {
        let full = {
            let mut buffer = self.buffers.own(Buffer::default).0.lock();
            let count = buffer.count;
            buffer.durations[count] = duration;
            buffer.count = (count + 1) % BUFFERED;
            (buffer.count == 0).then(|| Durations { count: BUFFERED, ..*buffer })
        };
        if let Some(full) = full {
            self.record_all(&full);
        }
        if let Some(exemplar) = exemplar {
            self.offer(duration, exemplar);
        }
    }

    fn offer(&self, duration: Duration, exemplar: ExemplarSpan) {
        if let Some(exemplars) = &self.exemplars {
            exemplars.offer(duration, exemplar);
        }
    }

    fn record_all(&self, buffer: &Durations) {
        buffer.durations[..buffer.count].iter().for_each(|duration| self.duration.record(*duration));
    }

    /// Records the buffered durations.
    fn flush(&self) {
        for buffer in self.buffers.iter() {
            let durations = std::mem::take(&mut *buffer.0.lock());
            self.record_all(&durations);
        }
    }
}

/// The `error.type` of a failure without a type, by the conventions.
const OTHER: &str = "_OTHER";
/// The maximum number of types of failures per series.
const KINDS: usize = FAILURES;

impl Recorders {
    pub(super) fn new<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Arc<Self> {
        let attributes = attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Arc::new(Self { attributes, ..Self::default() })
    }

    #[inline]
    pub(super) fn record(
        &self,
        instruments: &Instruments,
        duration: Duration,
        failure: Option<&str>,
        exemplar: Option<ExemplarSpan>,
    ) {
        match failure {
            None => self.fine.get_or_init(|| self.bind(instruments, None)).record(duration, exemplar),
            Some(kind) => self.record_failure(instruments, duration, kind, exemplar),
        }
    }

    /// Records the buffered durations, before a collection.
    pub(super) fn flush(&self) {
        self.fine.get().into_iter().chain(self.failed.get()).for_each(Recorder::flush);
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|kind| kind.flush());
    }

    fn record_failure(
        &self,
        instruments: &Instruments,
        duration: Duration,
        kind: &str,
        exemplar: Option<ExemplarSpan>,
    ) {
        let kind = cut(kind, LONGEST);
        if !kind.is_empty() && kind != OTHER {
            let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned();
            if let Some(recorder) = known.or_else(|| self.add_kind(instruments, kind)) {
                return recorder.record(duration, exemplar);
            }
        }
        self.failed.get_or_init(|| self.bind(instruments, Some(OTHER))).record(duration, exemplar);
    }

    /// Offers `exemplar` as the exemplar of a duration that is already [recorded](Self::record).
    pub(super) fn offer(&self, duration: Duration, failure: Option<&str>, exemplar: ExemplarSpan) {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = failure.and_then(|kind| kinds.get(cut(kind, LONGEST))).map(|recorder| &**recorder);
        let of_none = if failure.is_some() { self.failed.get() } else { self.fine.get() };
        if let Some(recorder) = of_kind.or(of_none) {
            recorder.offer(duration, exemplar);
        }
    }

    /// Adds a recorder for a new type; `None` at the maximum.
    #[cold]
    fn add_kind(&self, instruments: &Instruments, kind: &str) -> Option<Arc<Recorder>> {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kinds.get(kind) {
            return Some(Arc::clone(known));
        }
        if kinds.len() >= KINDS {
            return None;
        }
        let recorder = Arc::new(self.bind(instruments, Some(kind)));
        kinds.insert(kind.into(), Arc::clone(&recorder));
        Some(recorder)
    }

    fn bind(&self, instruments: &Instruments, error_type: Option<&str>) -> Recorder {
        let attributes = || {
            let own = self.attributes.iter().map(|(key, value)| (&**key, &**value));
            own.chain(error_type.map(|kind| ("error.type", kind)))
        };
        Recorder {
            buffers: PerThread::new(),
            duration: BoundDuration::new(&instruments.meter, &SPAN_DURATION, attributes()),
            exemplars: instruments
                .exemplars
                .as_ref()
                .map(|registry| registry.series(&SPAN_DURATION, attributes())),
        }
    }
}
