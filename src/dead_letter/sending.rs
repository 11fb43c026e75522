//! The letter that the running code sends.
//!
//! A redrive marks what it sends in three ways. A task-local holds the queue, so that a layer of the same queue does not
//! park the letter again. A thread-local holds the id of the letter: a letter that another queue parks meanwhile names it
//! as its origin. An HTTP request carries [`Redriven`] among its extensions, also to other tasks.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

use super::core::Core;
use crate::layers::attempts::Record;
use crate::store::LetterId;

thread_local! {
    static LETTER: Cell<Option<LetterId>> = const { Cell::new(None) };
}

tokio::task_local! {
    /// The queue whose letter is being sent.
    static QUEUE: QueueId;
}

/// Identifies a queue by the address of its state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueId(usize);

impl QueueId {
    fn of(core: &Arc<Core>) -> Self {
        Self(Arc::as_ptr(core).addr())
    }
}

/// The id of the letter that is being sent.
pub(super) fn current_letter() -> Option<LetterId> {
    LETTER.get()
}

/// Whether the current request is a letter of this queue, which must not be parked again.
#[inline]
pub(super) fn is_letter_of(core: &Arc<Core>) -> bool {
    // The task-local is read only while a redrive runs: every call comes here.
    core.redrives.any() && current_queue_is(core)
}

#[cold]
fn current_queue_is(core: &Arc<Core>) -> bool {
    QUEUE.try_with(|queue| *queue == QueueId::of(core)).unwrap_or(false)
}

/// Runs `call`, which begins to send a letter of `core`.
pub(super) fn begin<T>(core: &Arc<Core>, call: impl FnOnce() -> T) -> T {
    QUEUE.sync_scope(QueueId::of(core), call)
}

/// Wraps the rest of a call that sends a letter of `core`.
pub(super) fn scope<F: Future>(core: &Arc<Core>, call: F) -> TaskLocalFuture<QueueId, F> {
    QUEUE.scope(QueueId::of(core), call)
}

/// Wraps `call`, which sends the letter `id`. The output holds the attempts that failed in it.
pub(super) fn sending<F: Future>(id: LetterId, call: F) -> Sending<F> {
    Sending { call, id, record: Record::default() }
}

pin_project! {
    /// See [`sending`].
    pub(super) struct Sending<F> {
        #[pin]
        call: F,
        id: LetterId,
        record: Record,
    }
}

impl<F: Future> Future for Sending<F> {
    type Output = (F::Output, Record);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _restore = Restore(LETTER.replace(Some(*this.id)));
        let (record, call) = (this.record, this.call);
        let polled = record.during(|| call.poll(cx));
        polled.map(|output| (output, std::mem::take(record)))
    }
}

/// Restores the letter that was being sent before.
struct Restore(Option<LetterId>);

impl Drop for Restore {
    fn drop(&mut self) {
        LETTER.set(self.0);
    }
}

/// Marks an HTTP request as a letter that is sent again.
///
/// It is an extension of the request. The layer of the same queue does not park such a request again.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Redriven {
    /// The id of the letter.
    pub id: LetterId,
    /// The number of this try, counted as [`Letter::tries`](super::Letter::tries): the call that parked the letter was
    /// number 1, and each attempt of a retry counts.
    pub try_number: u32,
    queue: QueueId,
}

impl Redriven {
    /// Marks a letter that has been tried `tries` times.
    pub(super) fn new(core: &Arc<Core>, id: LetterId, tries: u32) -> Self {
        Self { id, try_number: tries.saturating_add(1), queue: QueueId::of(core) }
    }

    #[cfg(feature = "http")]
    pub(super) fn is_for(&self, core: &Arc<Core>) -> bool {
        self.queue == QueueId::of(core)
    }
}

impl fmt::Debug for Redriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redriven").field("id", &self.id).field("try_number", &self.try_number).finish()
    }
}
