//! What became of letters, on its way to the store.
//!
//! A write takes as long for one letter as for hundreds, so what ends while one is under way goes with the next, and
//! meanwhile letters are sent. A process that dies sends those again whose end was not yet written, 1,024 at most.
//!
//! A write that fails is tried again in parts, removals first: they need no room, and make some for the rest.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::store::{LetterId, Owner, Settled, StoreError};

/// The most ends that one write takes, and that wait for the next one before no more letters are sent.
const BATCH: usize = 512;

/// The most bytes of letters that wait for the next write before no more are sent.
const BYTES: u64 = 8 * 1024 * 1024;

/// How long to wait before a part of a write is tried again, each time.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_600)];

/// Letters that could not be written one by one in a row, after which those behind them are not tried.
const IN_A_ROW: usize = 3;

type Answer = Pin<Box<dyn Future<Output = Refused> + Send>>;

/// What the store did not take of a write, and why.
type Refused = Option<(Vec<LetterId>, StoreError)>;

/// The ends of one write.
pub(super) struct Written {
    pub(super) recorded: Vec<(LetterId, End)>,
    pub(super) unrecorded: Vec<(LetterId, End)>,
    /// Why some are not recorded.
    pub(super) error: Option<StoreError>,
}

/// How a letter ended, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Redriven,
    Failed,
    SetAside,
    /// It cannot be sent, and is set aside.
    Unsendable,
    /// It waits on.
    Released,
}

pub(super) struct Settling {
    core: Arc<Core>,
    owner: Owner,
    waiting: Vec<(Settled, End)>,
    /// The bytes of those that wait.
    bytes: u64,
    writing: Option<Writing>,
    /// Whether the write that is under way has failed before.
    in_trouble: Arc<AtomicBool>,
}

/// A write that is under way.
struct Writing {
    ends: Vec<(LetterId, End)>,
    answer: Answer,
}

impl Settling {
    pub(super) fn new(core: &Arc<Core>, owner: Owner) -> Self {
        Self {
            core: Arc::clone(core),
            owner,
            waiting: Vec::new(),
            bytes: 0,
            writing: None,
            in_trouble: Arc::default(),
        }
    }

    pub(super) fn push(&mut self, settled: Settled, end: End) {
        self.bytes += bytes(&settled);
        self.waiting.push((settled, end));
    }

    /// Whether no more letters should end for now: each that gets through while the store takes nothing is sent twice.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH || self.bytes >= BYTES || self.in_trouble.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }

    /// The ends of the next write that is done.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        if self.writing.is_none() && !self.waiting.is_empty() {
            self.write();
        }
        let Some(writing) = &mut self.writing else {
            return Poll::Pending;
        };
        let Poll::Ready(refused) = writing.answer.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        let ends = self.writing.take().map(|writing| writing.ends).unwrap_or_default();
        let Some((refused, error)) = refused else {
            return Poll::Ready(Written { recorded: ends, unrecorded: Vec::new(), error: None });
        };
        let (unrecorded, recorded) = ends.into_iter().partition(|(id, _)| refused.contains(id));
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
        self.writing =
            Some(Writing { ends, answer: write(&self.core, self.owner, settled, &self.in_trouble) });
    }

    /// The write that is under way, and what waits for the next; none of it is here any more.
    pub(super) fn take(&mut self) -> (Option<Answer>, Vec<Settled>) {
        self.bytes = 0;
        let waiting = self.waiting.drain(..).map(|(settled, _)| settled).collect();
        (self.writing.take().map(|writing| writing.answer), waiting)
    }
}

fn bytes(settled: &Settled) -> u64 {
    match settled {
        Settled::Failed(entry) | Settled::Changed(entry) => entry.size(),
        Settled::Delivered(_) | Settled::Released(_) => 0,
    }
}

/// Writes to the store, whoever holds the answer.
pub(super) fn write(
    core: &Arc<Core>,
    owner: Owner,
    settled: Vec<Settled>,
    in_trouble: &Arc<AtomicBool>,
) -> Answer {
    let store = Writer { core: Arc::clone(core), owner };
    let in_trouble = Arc::clone(in_trouble);
    Box::pin(async move {
        // The store keeps what it is given, and it may be needed again.
        if store.settle(settled.clone()).await.is_ok() {
            return None;
        }
        in_trouble.store(true, Ordering::Relaxed);
        let refused = store.in_parts(settled).await;
        in_trouble.store(false, Ordering::Relaxed);
        refused
    })
}

fn and(refused: Refused, rest: Vec<Settled>) -> Refused {
    refused.map(|(mut ids, error)| {
        ids.extend(rest.iter().map(Settled::id));
        (ids, error)
    })
}

struct Writer {
    core: Arc<Core>,
    owner: Owner,
}

impl Writer {
    async fn settle(&self, settled: Vec<Settled>) -> Result<Vec<bool>, StoreError> {
        let core = &self.core;
        core.ask(Operation::Settle, |store| store.settle(&core.name, self.owner, settled)).await
    }

    /// Tries a write again that has failed.
    async fn in_parts(&self, settled: Vec<Settled>) -> Refused {
        let is_small = |settled: &Settled| matches!(settled, Settled::Delivered(_) | Settled::Released(_));
        let (small, rest): (Vec<_>, Vec<_>) = settled.into_iter().partition(is_small);
        let refused = self.insist(small).await;
        if refused.is_some() {
            // A store that removes nothing takes nothing.
            return and(refused, rest);
        }
        match self.insist(rest.clone()).await {
            Some((all, _)) if all.len() > 1 => self.one_by_one(rest).await,
            refused => refused,
        }
    }

    /// Tries a few times.
    async fn insist(&self, settled: Vec<Settled>) -> Refused {
        if settled.is_empty() {
            return None;
        }
        let mut pauses = PAUSES.into_iter();
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

    /// There may be room for some.
    async fn one_by_one(&self, settled: Vec<Settled>) -> Refused {
        let (mut refused, mut in_a_row) = (None::<(Vec<LetterId>, StoreError)>, 0);
        for one in settled {
            let id = one.id();
            match &mut refused {
                Some((ids, _)) if in_a_row >= IN_A_ROW => ids.push(id),
                _ => match self.settle(vec![one]).await {
                    Ok(_) => in_a_row = 0,
                    Err(error) => {
                        in_a_row += 1;
                        refused.get_or_insert_with(|| (Vec::new(), error)).0.push(id);
                    }
                },
            }
        }
        refused
    }
}
