//! A call whose failure is parked.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::failure::{Ended, Failure};
use super::park::Parking;
use crate::base::clock::{self, Tick};
use crate::base::outcome::by_caller;
use crate::base::panics::{Panic, catch};
use crate::layers::attempts::Record;

/// What knows whether a call waits for its caller to go on with the request.
#[doc(hidden)]
pub trait Awaits {
    /// Whether it does.
    fn awaits_caller(&self) -> bool {
        false
    }
}

/// What knows the request of a call that ends with `R`, of which its caller gets `T`, and whether that is a failure.
#[doc(hidden)]
pub trait Examine<R, T>: Sized {
    /// What the caller gets for the result of the inner service.
    fn pass(result: R) -> T;

    /// Gives the output back, and why it is a final failure if it is one: in a box, for a success that moves is slow.
    fn judge(&self, output: T) -> (T, Option<Box<Failure>>);

    /// Begins to park the request.
    fn park(self, ended: Ended) -> Option<Step>;

    /// There is nothing to park, as far as can be told by now.
    #[inline]
    fn go_on(self, output: T) -> T {
        output
    }
}

/// How a call ended: with a result, or with a panic.
type End<T> = Result<T, Panic>;

/// What the caller waits for.
#[doc(hidden)]
#[derive(Debug)]
pub struct Step(pub(super) Parking);

pin_project! {
    /// The future of the services of a [`DeadLetterQueue`](crate::DeadLetterQueue): the call, and where it fails
    /// the wait until its request is parked.
    pub struct DeadLetterFuture<F, J, T>
    where
        J: Awaits,
    {
        // None once it has ended, or when it panicked before it was there.
        #[pin]
        call: Option<F>,
        job: Option<J>,
        end: Option<End<T>>,
        parking: Option<Step>,
        record: Record,
        // Zero until it waits for the first time, where it was not timed before: a call that goes well at once
        // need not look at the clock.
        began: Tick,
    }

    impl<F, J: Awaits, T> PinnedDrop for DeadLetterFuture<F, J, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.call.is_some() && this.job.as_ref().is_some_and(J::awaits_caller) {
                by_caller(|| this.call.set(None));
            }
        }
    }
}

impl<F, J: Awaits, T> DeadLetterFuture<F, J, T> {
    /// Makes the call. `job` is none for one that is not to be parked whatever happens; `began` is zero where nobody
    /// has looked at the clock.
    ///
    /// Where `call` panics before it gives a future, the caller gets the panic once the request is parked.
    #[inline]
    pub(super) fn begin(job: Option<J>, began: Tick, call: impl FnOnce() -> F) -> Self {
        let (call, end) = match catch(call) {
            Ok(call) => (Some(call), None),
            Err(panic) => (None, Some(Err(panic))),
        };
        Self { call, job, end, parking: None, record: Record::default(), began }
    }
}

impl<F, J, T> Future for DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Examine<F::Output, T> + Awaits,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.as_mut().project();
        let Some(call) = this.call.as_mut().as_pin_mut() else {
            return self.wait(cx);
        };
        // A panic goes on its way below, once the request is parked.
        let poll = || catch(|| call.poll(cx));
        // The attempts of a letter on its way are told to whoever sends it.
        let polled = if this.job.is_some() { this.record.during(poll) } else { poll() };
        let end = match polled {
            Ok(Poll::Pending) => {
                if *this.began == Tick::default() {
                    *this.began = clock::now();
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => {
                let output = J::pass(output);
                let (output, failure) = match this.job.as_ref() {
                    Some(job) => job.judge(output),
                    None => (output, None),
                };
                // What the call holds is free while its request is parked.
                this.call.set(None);
                match failure {
                    None => {
                        return Poll::Ready(match this.job.take() {
                            Some(job) => job.go_on(output),
                            None => output,
                        });
                    }
                    Some(failure) => {
                        let ended = ended(*failure, this.record, *this.began);
                        *this.parking = this.job.take().and_then(|job| job.park(ended));
                        Ok(output)
                    }
                }
            }
            Err(panic) => {
                this.call.set(None);
                Err(panic)
            }
        };
        *this.end = Some(end);
        self.wait(cx)
    }
}

impl<F, J, T> DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Examine<F::Output, T> + Awaits,
{
    /// The call has ended: its caller gets the end once the request is parked.
    #[cold]
    fn wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        if let Some(Err(panic)) = this.end
            && let Some(job) = this.job.take()
        {
            let ended = ended(Failure::of_panic(panic), this.record, *this.began);
            *this.parking = job.park(ended);
        }
        if let Some(parking) = this.parking {
            ready!(parking.0.poll(cx));
            *this.parking = None;
        }
        match this.end.take() {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => panic.resume(),
            // Polled again after its end, which no future promises anything about.
            None => Poll::Pending,
        }
    }
}

fn ended(failure: Failure, record: &mut Record, began: Tick) -> Ended {
    let took = if began == Tick::default() { Duration::ZERO } else { clock::now().since(began) };
    Ended { failure, took, record: std::mem::take(record) }
}

impl<F, J: Awaits, T> fmt::Debug for DeadLetterFuture<F, J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.call, &self.parking) {
            (Some(_), _) => "calling",
            (None, Some(_)) => "parking",
            (None, None) => "ended",
        };
        f.debug_struct("DeadLetterFuture").field("state", &state).finish_non_exhaustive()
    }
}
