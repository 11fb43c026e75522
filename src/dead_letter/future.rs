//! A call whose failure is parked.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use pin_project_lite::pin_project;

use super::failure::Failure;
use super::park::Parking;

/// What knows the request of a call that ends with `R`, of which its caller gets `T`, and whether that is a failure.
#[doc(hidden)]
pub trait Examine<R, T> {
    /// What the caller gets for the result of the inner service.
    fn pass(result: R) -> T;

    /// Gives the output back, and why it is a final failure if it is one: in a box, for a success that moves is slow.
    fn judge(&self, output: T) -> (T, Option<Box<Failure>>);

    /// Begins to park the request.
    fn park(self, failure: Failure) -> Step;
}

/// How a call ended: with a result, or with a panic.
type End<T> = thread::Result<T>;

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
    #[project_replace = StateReplace]
    enum State<F> {
        Calling { #[pin] call: F },
        Panicked { panic: Box<dyn Any + Send> },
        Parking { parking: Parking },
        Done,
    }
}

impl<F, J, T> DeadLetterFuture<F, J, T> {
    /// Makes the call. `job` is none for one that is not to be parked whatever happens.
    ///
    /// Where `call` panics before it gives a future, the caller gets the panic once the request is parked.
    #[inline]
    pub(super) fn begin(job: Option<J>, call: impl FnOnce() -> F) -> Self {
        // The state as a whole, for a future that is large is moved as rarely as can be.
        let state = catch_unwind(AssertUnwindSafe(|| State::Calling { call: call() }));
        Self { state: state.unwrap_or_else(|panic| State::Panicked { panic }), job, end: None }
    }
}

impl<F, J, T> Future for DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Examine<F::Output, T>,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.as_mut().project();
        if let StateProj::Calling { call } = this.state.as_mut().project() {
            // A panic goes on its way below, once the request is parked.
            let (end, failure) = match catch_unwind(AssertUnwindSafe(|| call.poll(cx))) {
                Ok(polled) => {
                    let output = J::pass(ready!(polled));
                    let (output, failure) = match this.job.as_ref() {
                        Some(job) => job.judge(output),
                        None => (output, None),
                    };
                    // What the call holds is free while its request is parked.
                    this.state.set(State::Done);
                    match failure {
                        None => {
                            *this.job = None;
                            return Poll::Ready(output);
                        }
                        Some(failure) => (Ok(output), *failure),
                    }
                }
                Err(panic) => {
                    let failure = Failure::of_panic(panic.as_ref());
                    (Err(panic), failure)
                }
            };
            return self.part(end, failure, cx);
        }
        self.wait(cx)
    }
}

impl<F, J, T> DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Examine<F::Output, T>,
{
    /// The call failed: its caller gets `end` once the request is parked.
    #[cold]
    fn part(mut self: Pin<&mut Self>, end: End<T>, failure: Failure, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.as_mut().project();
        *this.end = Some(end);
        this.state.set(match this.job.take().map(|job| job.park(failure)) {
            Some(Step(parking)) => State::Parking { parking },
            None => State::Done,
        });
        self.wait(cx)
    }

    #[cold]
    fn wait(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.as_mut().project();
        match this.state.as_mut().project() {
            StateProj::Parking { parking } => {
                ready!(parking.poll(cx));
                this.state.set(State::Done);
            }
            StateProj::Panicked { .. } => {
                if let StateReplace::Panicked { panic } = this.state.as_mut().project_replace(State::Done) {
                    let failure = Failure::of_panic(panic.as_ref());
                    return self.part(Err(panic), failure, cx);
                }
            }
            StateProj::Calling { .. } | StateProj::Done => {}
        }
        match this.end.take() {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => resume_unwind(panic),
            // Polled again after its end, which no future promises anything about.
            None => Poll::Pending,
        }
    }
}

impl<F, J, T> fmt::Debug for DeadLetterFuture<F, J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Calling { .. } => "calling",
            State::Panicked { .. } => "panicked",
            State::Parking { .. } => "parking",
            State::Done => "done",
        };
        f.debug_struct("DeadLetterFuture").field("state", &state).finish_non_exhaustive()
    }
}
