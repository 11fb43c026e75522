//! Records the results of letters in the store.
//!
//! A write takes as long for one letter as for hundreds. So results that arrive during a write go with the next one, and
//! letters are sent meanwhile. A process that dies sends the letters again whose results were not recorded, 1,024 at most.
//!
//! A write that fails is tried again in parts. Removals come first, because they need no space and free some for the rest.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use crate::dead_letter::queue_store::QueueStore;
use crate::store::{LetterId, Owner, Settled, StoreError};

/// The maximum number of results of one write. When as many wait for the next write, no more letters are sent.
const BATCH: usize = 512;

/// When letters with as many bytes wait for the next write, no more letters are sent.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The pauses before a part of a write is tried again.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_600)];

/// After how many single letters in a row that cannot be written the rest is not tried.
const MAX_IN_A_ROW: usize = 3;

pub(super) type Write = Pin<Box<dyn Future<Output = Unwritten> + Send>>;

/// The letters whose results the store did not record, and why.
type Unwritten = Option<(Vec<LetterId>, StoreError)>;

/// The result of one write.
pub(super) struct Written {
    pub(super) recorded: Vec<(LetterId, End)>,
    pub(super) unrecorded: Vec<(LetterId, End)>,
    /// Why some are unrecorded.
    pub(super) error: Option<StoreError>,
}

/// The result of one letter, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Delivered,
    Failed,
    /// It failed too often, and is set aside.
    SetAside,
    /// It cannot be sent, and is set aside.
    Unsendable,
    /// It was not sent, and still waits.
    Released,
}

pub(super) struct Settler {
    store: Arc<QueueStore>,
    owner: Owner,
    waiting: Vec<(Settled, End)>,
    /// The bytes of `waiting`.
    bytes: u64,
    writing: Option<Writing>,
    /// Whether the current write is being retried.
    retrying: Arc<AtomicBool>,
}

/// The current write.
struct Writing {
    ends: Vec<(LetterId, End)>,
    write: Write,
}

impl Settler {
    pub(super) fn new(store: &Arc<QueueStore>, owner: Owner) -> Self {
        Self {
            store: Arc::clone(store),
            owner,
            waiting: Vec::new(),
            bytes: 0,
            writing: None,
            retrying: Arc::default(),
        }
    }

    pub(super) fn push(&mut self, settled: Settled, end: End) {
        self.bytes += bytes(&settled);
        self.waiting.push((settled, end));
    }

    /// Whether no more letters should be sent for now. A letter that is delivered while the store records nothing is sent
    /// twice.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH || self.bytes >= MAX_BYTES || self.retrying.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }

    /// The result of the next write.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        if self.writing.is_none() && !self.waiting.is_empty() {
            self.write();
        }
        let Some(writing) = &mut self.writing else {
            return Poll::Pending;
        };
        let Poll::Ready(unwritten) = writing.write.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        let ends = self.writing.take().map(|writing| writing.ends).unwrap_or_default();
        let Some((unwritten, error)) = unwritten else {
            return Poll::Ready(Written { recorded: ends, unrecorded: Vec::new(), error: None });
        };
        let (unrecorded, recorded) = ends.into_iter().partition(|(id, _)| unwritten.contains(id));
        Poll::Ready(Written { recorded, unrecorded, error: Some(error) })
    }

    fn write(&mut self) {
        let batch = self.waiting.drain(..self.waiting.len().min(BATCH));
        let (settled, ends): (Vec<_>, Vec<_>) = batch
            .map(|(settled, end)| {
                let id = settled.id();
                (settled, (id, end))
            })
            .unzip();
        self.bytes -= settled.iter().map(bytes).sum::<u64>();
        self.writing = Some(Writing { ends, write: write(&self.store, self.owner, settled, &self.retrying) });
    }

    /// Takes out the current write and the results that wait for the next one.
    pub(super) fn take(&mut self) -> (Option<Write>, Vec<Settled>) {
        self.bytes = 0;
        let waiting = self.waiting.drain(..).map(|(settled, _)| settled).collect();
        (self.writing.take().map(|writing| writing.write), waiting)
    }
}

fn bytes(settled: &Settled) -> u64 {
    match settled {
        Settled::Failed(entry) | Settled::Changed(entry) => entry.size(),
        Settled::Delivered(_) | Settled::Released(_) => 0,
    }
}

/// Records results.
pub(super) fn write(
    store: &Arc<QueueStore>,
    owner: Owner,
    settled: Vec<Settled>,
    retrying: &Arc<AtomicBool>,
) -> Write {
    let writer = Writer { store: Arc::clone(store), owner };
    let retrying = Arc::clone(retrying);
    Box::pin(async move {
        // The store consumes the results, and they may be needed for a retry.
        if writer.settle(settled.clone()).await.is_ok() {
            return None;
        }
        retrying.store(true, Ordering::Relaxed);
        let unwritten = writer.in_parts(settled).await;
        retrying.store(false, Ordering::Relaxed);
        unwritten
    })
}

/// Adds letters that were not tried.
fn with_rest(unwritten: Unwritten, rest: Vec<Settled>) -> Unwritten {
    unwritten.map(|(mut ids, error)| {
        ids.extend(rest.iter().map(Settled::id));
        (ids, error)
    })
}

struct Writer {
    store: Arc<QueueStore>,
    owner: Owner,
}

impl Writer {
    async fn settle(&self, settled: Vec<Settled>) -> Result<Vec<bool>, StoreError> {
        self.store.settle(self.owner, settled).await
    }

    /// Retries a write that has failed.
    async fn in_parts(&self, settled: Vec<Settled>) -> Unwritten {
        let is_small = |settled: &Settled| matches!(settled, Settled::Delivered(_) | Settled::Released(_));
        let (small, rest): (Vec<_>, Vec<_>) = settled.into_iter().partition(is_small);
        let unwritten = self.retry(small).await;
        if unwritten.is_some() {
            // A store that cannot remove letters cannot record others either.
            return with_rest(unwritten, rest);
        }
        match self.retry(rest.clone()).await {
            Some((all, _)) if all.len() > 1 => self.one_by_one(rest).await,
            unwritten => unwritten,
        }
    }

    /// Tries several times.
    async fn retry(&self, settled: Vec<Settled>) -> Unwritten {
        if settled.is_empty() {
            return None;
        }
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            let error = match self.settle(settled.clone()).await {
                Ok(_) => return None,
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Some((settled.iter().map(Settled::id).collect(), error)),
            }
        }
    }

    /// Tries each letter by itself, because there may be space for some.
    async fn one_by_one(&self, settled: Vec<Settled>) -> Unwritten {
        let (mut unwritten, mut in_a_row) = (None::<(Vec<LetterId>, StoreError)>, 0);
        for one in settled {
            let id = one.id();
            match &mut unwritten {
                Some((ids, _)) if in_a_row >= MAX_IN_A_ROW => ids.push(id),
                _ => match self.settle(vec![one]).await {
                    Ok(_) => in_a_row = 0,
                    Err(error) => {
                        in_a_row += 1;
                        unwritten.get_or_insert_with(|| (Vec::new(), error)).0.push(id);
                    }
                },
            }
        }
        unwritten
    }
}
