//! What became of letters, on its way to the store.
//!
//! A write takes as long for one letter as for hundreds, so what ends while one is under way goes with the next, and
//! meanwhile letters are sent. A process that dies sends those again whose end was not yet written, 1,024 at most.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::store::{LetterId, Owner, Settled, StoreError};

/// The most ends that one write takes, and that wait for the next one before no more letters are sent.
const BATCH: usize = 512;

/// The most bytes of letters that wait for the next write before no more are sent.
const BYTES: u64 = 8 * 1024 * 1024;

type Answer = Pin<Box<dyn Future<Output = Result<Vec<bool>, StoreError>> + Send>>;

/// The ends of one write, and whether they are written.
type Written = (Vec<(LetterId, End)>, Result<(), StoreError>);

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
}

/// A write that is under way.
struct Writing {
    ends: Vec<(LetterId, End)>,
    answer: Answer,
}

impl Settling {
    pub(super) fn new(core: &Arc<Core>, owner: Owner) -> Self {
        Self { core: Arc::clone(core), owner, waiting: Vec::new(), bytes: 0, writing: None }
    }

    pub(super) fn push(&mut self, settled: Settled, end: End) {
        self.bytes += bytes(&settled);
        self.waiting.push((settled, end));
    }

    /// Whether no more letters should end for now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH || self.bytes >= BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }

    /// The ends of the next write that is done, whether or not it could be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        if self.writing.is_none() && !self.waiting.is_empty() {
            self.write();
        }
        let Some(writing) = &mut self.writing else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = writing.answer.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        let ends = self.writing.take().map(|writing| writing.ends).unwrap_or_default();
        Poll::Ready((ends, answer.map(drop)))
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
        self.writing = Some(Writing { ends, answer: write(&self.core, self.owner, settled) });
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
pub(super) fn write(core: &Arc<Core>, owner: Owner, settled: Vec<Settled>) -> Answer {
    let core = Arc::clone(core);
    Box::pin(
        async move { core.ask(Operation::Settle, |store| store.settle(&core.name, owner, settled)).await },
    )
}
