//! Observes one piece of work from its start to its end.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tracing::Span;

use super::failure::Failure;
use super::tally::Tally;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, is_timing_out};
use crate::base::panics::{Panic, caught};
use crate::signal::{CachedVital, Vitals};

/// What a piece of work is counted for: the items, an operation, a task.
pub(super) trait Subject {
    /// Its counts.
    fn tally(&self) -> &Tally;

    /// Work has begun.
    fn begun(&self) {}

    /// Work has ended.
    fn ended(&self, took: Duration, failure: Option<FailureKind>) {
        let _ = (took, failure);
    }
}

/// The vital signs of the worker as a component, for work whose span is off. Otherwise the span counts.
#[derive(Debug)]
pub(super) struct WorkerVital {
    pub(super) vitals: Arc<Vitals>,
    pub(super) worker: Arc<str>,
    pub(super) vital: CachedVital,
}

/// One piece of work. If it is dropped before its end, it was cancelled or panicked.
pub(super) struct Watch<S: Subject> {
    subject: Arc<S>,
    vital: Option<Arc<WorkerVital>>,
    span: Span,
    began: Tick,
    /// User code runs. A drop meanwhile is a panic.
    running: bool,
    ended: bool,
}

impl<S: Subject> Watch<S> {
    /// Counts the start of work in `span`.
    #[inline]
    pub(super) fn start(subject: &Arc<S>, vital: Option<&Arc<WorkerVital>>, span: Span) -> Self {
        let began = subject.tally().begin();
        subject.begun();
        let vital = if span.is_disabled() { vital.cloned() } else { None };
        Self { subject: Arc::clone(subject), vital, span, began, running: false, ended: false }
    }

    pub(super) fn began(&self) -> Tick {
        self.began
    }

    pub(super) fn subject(&self) -> &Arc<S> {
        &self.subject
    }

    /// Counts the end. Returns the span, which is still open.
    pub(super) fn end(&mut self, failure: Option<&Failure>) -> Span {
        if let Some(failure) = failure {
            self.span.record("error.type", failure.label());
        }
        self.settle(failure.map(|failure| failure.kind));
        std::mem::replace(&mut self.span, Span::none())
    }

    #[inline]
    fn settle(&mut self, failure: Option<FailureKind>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = clock::now();
        let took = self.subject.tally().end(now, self.began, failure);
        self.subject.ended(took, failure);
        if let Some(WorkerVital { vitals, worker, vital }) = self.vital.as_deref() {
            vital.record(vitals, worker, now, took, failure.is_some());
        }
    }

    #[cold]
    fn abandon(&mut self) {
        let kind = if self.running {
            FailureKind::Panic
        } else if is_timing_out() {
            FailureKind::Timeout
        } else {
            FailureKind::Cancelled
        };
        self.span.record("error.type", kind.as_str());
        self.settle(Some(kind));
    }

    /// The work panics now.
    pub(super) fn panics(&mut self) {
        self.running = true;
    }
}

impl<S: Subject> Drop for Watch<S> {
    fn drop(&mut self) {
        if !self.ended {
            self.abandon();
        }
    }
}

impl<S: Subject> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("began", &self.began).finish_non_exhaustive()
    }
}

pin_project! {
    /// Work that is polled and dropped in its span.
    pub(super) struct Watched<F, S: Subject> {
        #[pin]
        work: Option<F>,
        pub(super) watch: Watch<S>,
    }

    impl<F, S: Subject> PinnedDrop for Watched<F, S> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.work.is_some() {
                let _entered = this.watch.span.enter();
                this.work.set(None);
            }
        }
    }
}

impl<F, S: Subject> Watched<F, S> {
    pub(super) fn new(work: F, watch: Watch<S>) -> Self {
        Self { work: Some(work), watch }
    }

    /// Counts the end. Returns the span, which is still open.
    pub(super) fn end(self: Pin<&mut Self>, failure: Option<&Failure>) -> Span {
        self.project().watch.end(failure)
    }
}

impl<F: Future, S: Subject> Future for Watched<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Watch { span, running, .. } = this.watch;
        let _entered = span.enter();
        let Some(work) = this.work.as_mut().as_pin_mut() else {
            panic!("a call of a worker was polled after completion");
        };
        *running = true;
        let polled = work.poll(cx);
        *running = false;
        if polled.is_ready() {
            this.work.set(None);
        }
        polled
    }
}

/// How a piece of work ended. It is counted.
pub(super) struct Ended<R, E> {
    pub(super) result: Result<Result<R, E>, Panic>,
    pub(super) failure: Option<Failure>,
    /// Its span, which is still open.
    pub(super) span: Span,
}

/// Runs `work` to its end.
pub(super) async fn observe<S, F, R, E>(watch: Watch<S>, work: F, describe: fn(&E) -> Failure) -> Ended<R, E>
where
    S: Subject,
    F: Future<Output = Result<R, E>>,
{
    let mut call = pin!(Watched::new(caught(work), watch));
    let result = call.as_mut().await;
    let failure = match &result {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(describe(error)),
        Err(panic) => Some(Failure::of_panic(panic)),
    };
    let span = call.end(failure.as_ref());
    Ended { result, failure, span }
}
