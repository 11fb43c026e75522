//! Where the spans of one name are counted.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::metrics::Meter;

use super::LONGEST;
use crate::cut::cut;
use crate::lanes::Lanes;
use crate::signal::capacity::FAILURES;
use crate::signal::{Book, BoundDuration, Exemplars, SPAN_DURATION, VitalOf, Witness};
use crate::sync::Mutex;

/// Where the spans of one component and name, and one value of each label, are counted.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) component: Box<str>,
    pub(super) name: Box<str>,
    /// By the place of the label; none for a span that has no such field.
    pub(super) labels: Box<[Option<Box<str>>]>,
    pub(super) recorders: Arc<Recorders>,
    pub(super) vital: VitalOf,
}

impl Series {
    pub(super) fn new(
        component: &str,
        name: &str,
        labels: &[Option<String>],
        recorders: Arc<Recorders>,
    ) -> Self {
        Self {
            component: component.into(),
            name: name.into(),
            labels: labels.iter().map(|value| value.as_deref().map(Into::into)).collect(),
            recorders,
            vital: VitalOf::default(),
        }
    }
}

/// What the instruments of series are made from.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) meter: Meter,
    /// Where exemplars are kept, if somebody wants them.
    pub(super) exemplars: Option<Arc<Book>>,
}

/// The instruments of a series, bound with the first span that needs them: one that nobody needs does not show.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    attributes: Box<[(Box<str>, Box<str>)]>,
    fine: OnceLock<Recorder>,
    /// Failures of no kind, or of one too many.
    failed: OnceLock<Recorder>,
    kinds: RwLock<HashMap<Box<str>, Arc<Recorder>>>,
}

#[derive(Debug)]
struct Recorder {
    duration: BoundDuration,
    /// Not yet with the instrument: that has one lock for all threads.
    waiting: Lanes<Waiting>,
    exemplars: Option<Arc<Exemplars>>,
}

/// Durations of some threads; on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Waiting(Mutex<Lot>);

/// As many as fit into two cache lines, with their lock.
const LOT: usize = 14;

#[derive(Clone, Copy, Debug, Default)]
struct Lot {
    count: usize,
    durations: [Duration; LOT],
}

impl Recorder {
    #[inline]
    fn record(&self, duration: Duration, witness: Option<Witness>) {
        let full = {
            let mut lot = self.waiting.own(Waiting::default).0.lock();
            let count = lot.count;
            lot.durations[count] = duration;
            lot.count = (count + 1) % LOT;
            (lot.count == 0).then(|| Lot { count: LOT, ..*lot })
        };
        if let Some(full) = full {
            self.hand_over(&full);
        }
        if let Some(witness) = witness {
            self.offer(duration, witness);
        }
    }

    fn offer(&self, duration: Duration, witness: Witness) {
        if let Some(exemplars) = &self.exemplars {
            exemplars.offer(duration, witness);
        }
    }

    fn hand_over(&self, lot: &Lot) {
        lot.durations[..lot.count].iter().for_each(|duration| self.duration.record(*duration));
    }

    /// Hands over what waits.
    fn flush(&self) {
        for waiting in self.waiting.iter() {
            let lot = std::mem::take(&mut *waiting.0.lock());
            self.hand_over(&lot);
        }
    }
}

/// The `error.type` of a failure that nobody has given one, as the conventions have it.
const OTHER: &str = "_OTHER";
/// Kinds of failures that a series tells apart.
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
        witness: Option<Witness>,
    ) {
        match failure {
            None => self.fine.get_or_init(|| self.bind(instruments, None)).record(duration, witness),
            Some(kind) => self.record_failure(instruments, duration, kind, witness),
        }
    }

    /// Hands over what waits: somebody collects.
    pub(super) fn flush(&self) {
        self.fine.get().into_iter().chain(self.failed.get()).for_each(Recorder::flush);
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|kind| kind.flush());
    }

    fn record_failure(
        &self,
        instruments: &Instruments,
        duration: Duration,
        kind: &str,
        witness: Option<Witness>,
    ) {
        let kind = cut(kind, LONGEST);
        if !kind.is_empty() && kind != OTHER {
            let known = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned();
            if let Some(recorder) = known.or_else(|| self.meet(instruments, kind)) {
                return recorder.record(duration, witness);
            }
        }
        self.failed.get_or_init(|| self.bind(instruments, Some(OTHER))).record(duration, witness);
    }

    /// Names `witness` for a duration that [`record`](Self::record) has taken in.
    pub(super) fn offer(&self, duration: Duration, failure: Option<&str>, witness: Witness) {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = failure.and_then(|kind| kinds.get(cut(kind, LONGEST))).map(|recorder| &**recorder);
        let of_none = if failure.is_some() { self.failed.get() } else { self.fine.get() };
        if let Some(recorder) = of_kind.or(of_none) {
            recorder.offer(duration, witness);
        }
    }

    /// The recorder of a kind that was not there; none if there are too many.
    #[cold]
    fn meet(&self, instruments: &Instruments, kind: &str) -> Option<Arc<Recorder>> {
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
            waiting: Lanes::new(),
            duration: BoundDuration::new(&instruments.meter, &SPAN_DURATION, attributes()),
            exemplars: instruments.exemplars.as_ref().map(|book| book.series(&SPAN_DURATION, attributes())),
        }
    }
}
