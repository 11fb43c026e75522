//! Items of a worker: they are parked like requests.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{FailedCall, Failure};
use super::park::{Draft, park_value};
use super::queue::DeadLetterQueue;
use super::sending;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, is_timing_out};
use crate::layers::attempts::{ErrorText, Record};

/// An item that is processed. If it is dropped, its processing was cancelled, and it is parked if the queue parks what is
/// cancelled.
pub(crate) struct HeldItem<'a, T: Serialize + DeserializeOwned> {
    queue: &'a DeadLetterQueue,
    item: T,
    began: Tick,
    /// The attempts that retries make while the item is processed.
    record: Record,
    ended: bool,
}

impl<'a, T: Serialize + DeserializeOwned> HeldItem<'a, T> {
    /// Holds an item whose processing began at `began`.
    pub(crate) fn new(queue: &'a DeadLetterQueue, item: T, began: Tick) -> Self {
        Self { queue, item, began, record: Record::default(), ended: false }
    }

    /// The item, and the record of the attempts that retries make.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&T, &mut Record) {
        (&self.item, &mut self.record)
    }

    /// The item was processed.
    #[inline]
    pub(crate) fn release(mut self) {
        self.ended = true;
    }

    /// Parks the item: see [`park_item`].
    pub(crate) fn park(mut self, kind: FailureKind, text: ErrorText) -> impl Future<Output = ()> + use<T> {
        self.ended = true;
        self.start(kind, text)
    }

    fn start(&mut self, kind: FailureKind, text: ErrorText) -> impl Future<Output = ()> + use<T> {
        let failure = Failure::said(kind, text);
        let took = clock::now().since(self.began);
        let call = FailedCall { failure, took, record: std::mem::take(&mut self.record) };
        park_failed(self.queue, &self.item, call)
    }
}

/// Starts to park an item that failed for good. The future waits until it is parked, at most for the park timeout. If it is
/// dropped, a task completes the write.
pub(crate) fn park_item<T: Serialize + DeserializeOwned>(
    queue: &DeadLetterQueue,
    item: &T,
    kind: FailureKind,
    text: ErrorText,
) -> impl Future<Output = ()> + use<T> {
    let failure = Failure::said(kind, text);
    park_failed(queue, item, FailedCall { failure, took: Duration::ZERO, record: Record::default() })
}

fn park_failed<T: Serialize + DeserializeOwned>(
    queue: &DeadLetterQueue,
    item: &T,
    call: FailedCall,
) -> impl Future<Output = ()> + use<T> {
    // A letter that is sent again is not parked a second time.
    let is_letter = sending::is_letter_of(queue.core());
    let mut parking = (!is_letter).then(|| park_value(queue.core(), item, Draft::new(call)));
    poll_fn(move |cx| parking.as_mut().map_or(Poll::Ready(()), |parking| parking.poll(cx)))
}

impl<T: Serialize + DeserializeOwned> Drop for HeldItem<'_, T> {
    fn drop(&mut self) {
        if !self.ended && self.queue.core().settings.park_cancelled && !std::thread::panicking() {
            let (kind, text) = if is_timing_out() {
                (FailureKind::Timeout, "the time limit of the item ended")
            } else {
                (FailureKind::Cancelled, "the processing of the item was cancelled")
            };
            // A task completes the write.
            drop(self.start(kind, ErrorText::new(kind.as_str(), text)));
        }
    }
}

impl<T: Serialize + DeserializeOwned> fmt::Debug for HeldItem<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldItem").field("queue", &self.queue.name()).finish_non_exhaustive()
    }
}
