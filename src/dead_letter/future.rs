//! A call whose failure is parked.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use pin_project_lite::pin_project;

use super::park::Parking;

/// What knows the request of a call that ends with `R`, of which its caller gets `T`, and whether that is a failure.
#[doc(hidden)]
pub trait Examine<R, T> {
    /// What the caller gets for the result of the inner service.
    fn pass(result: R) -> T;

    /// Begins to park the request when `end` is a final failure.
    fn examine(self, end: End<T>) -> (End<T>, Option<Step>);
}

/// How a call ended: with a result, or with a panic.
pub(super) type End<T> = thread::Result<T>;

/// What the caller waits for.
#[doc(hidden)]
#[derive(Debug)]
pub struct Step(pub(super) Parking);

pin_project! {
    /// The future of the services of a [`DeadLetterQueue`](crate::DeadLetterQueue): the call, and where it fails
    /// the wait until its request is parked.
    pub struct DeadLetterFuture<F, J, T> {
        #[pin]
        state: State<F>,
        job: Option<J>,
        end: Option<End<T>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling { #[pin] call: F },
        Ended,
        Parking { parking: Parking },
        Done,
    }
}

impl<F, J, T> DeadLetterFuture<F, J, T> {
    /// `job` is none for a call that is not to be parked whatever happens.
    pub(super) fn new(call: F, job: Option<J>) -> Self {
        Self { state: State::Calling { call }, job, end: None }
    }

    /// The call panicked before it gave a future. The caller gets the panic once the request is parked.
    pub(super) fn panicked(panic: Box<dyn Any + Send>, job: Option<J>) -> Self {
        Self { state: State::Ended, job, end: Some(Err(panic)) }
    }
}

impl<F, J, T> Future for DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Examine<F::Output, T>,
{
    type Output = T;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { call } => {
                    // A panic goes on its way below, once the request is parked.
                    let end = match catch_unwind(AssertUnwindSafe(|| call.poll(cx))) {
                        Ok(polled) => Ok(J::pass(ready!(polled))),
                        Err(panic) => Err(panic),
                    };
                    *this.end = Some(end);
                    // What the call holds is free while its request is parked.
                    this.state.set(State::Ended);
                }
                StateProj::Ended => {
                    if let Some(job) = this.job.take()
                        && let Some(end) = this.end.take()
                    {
                        let (end, step) = job.examine(end);
                        *this.end = Some(end);
                        if let Some(Step(parking)) = step {
                            this.state.set(State::Parking { parking });
                            continue;
                        }
                    }
                    this.state.set(State::Done);
                }
                StateProj::Parking { parking } => {
                    ready!(parking.poll(cx));
                    this.state.set(State::Done);
                }
                StateProj::Done => {
                    return match this.end.take() {
                        Some(Ok(output)) => Poll::Ready(output),
                        Some(Err(panic)) => resume_unwind(panic),
                        // Polled again after its end, which no future promises anything about.
                        None => Poll::Pending,
                    };
                }
            }
        }
    }
}

impl<F, J, T> fmt::Debug for DeadLetterFuture<F, J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Calling { .. } => "calling",
            State::Ended => "ended",
            State::Parking { .. } => "parking",
            State::Done => "done",
        };
        f.debug_struct("DeadLetterFuture").field("state", &state).finish_non_exhaustive()
    }
}
