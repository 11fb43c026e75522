//! Which letter the code that runs is sending.
//!
//! A letter on its way may make another one fail, in another queue or behind another layer: that one tells where it
//! comes from. The attempts that the way itself makes are the letter's own.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::layers::attempts::Record;
use crate::store::LetterId;

thread_local! {
    static SENDING: Cell<Option<LetterId>> = const { Cell::new(None) };
}

/// The letter that the code that runs is sending.
pub(super) fn current() -> Option<LetterId> {
    SENDING.get()
}

/// `call` as a part of sending the letter `id`, with the attempts that failed in it.
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
        let _back = Back(SENDING.replace(Some(*this.id)));
        let (record, call) = (this.record, this.call);
        let polled = record.during(|| call.poll(cx));
        polled.map(|output| (output, std::mem::take(record)))
    }
}

struct Back(Option<LetterId>);

impl Drop for Back {
    fn drop(&mut self) {
        SENDING.set(self.0);
    }
}
