//! A call whose failure is parked.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::parking::Parking;
use crate::base::clock::{self, Tick};
use crate::base::outcome::waiting_for_caller;
use crate::base::panics::{Panic, catch};
use crate::dead_letter::failure::{FailedCall, Failure};
use crate::layers::attempts::Record;

/// Holds the request of a call, and decides whether the call failed. The inner service returns `R`, the caller gets `T`.
#[doc(hidden)]
pub trait Job<R, T>: Sized {
    /// Converts the result of the inner service into that of the caller.
    fn convert(result: R) -> T;

    /// Returns the output, and its failure if it is a final one. The failure is boxed, because moving a large value would
    /// slow down successful calls.
    fn judge(&self, output: T) -> (T, Option<Box<Failure>>);

    /// Starts to park the request. `None` if there is nothing to park.
    fn park(self, call: FailedCall) -> Option<Parking>;

    /// The call did not fail, as far as the output shows.
    #[inline]
    fn release(self, output: T) -> T {
        output
    }

    /// Whether the call waits for its caller to send more of the request.
    fn awaits_caller(&self) -> bool {
        false
    }
}

pin_project! {
    /// The future of the services of a [`DeadLetterQueue`](crate::DeadLetterQueue): the call and, if it fails, the wait
    /// until its request is parked.
    ///
    /// # Panics
    /// When it is polled after it has completed.
    pub struct DeadLetterFuture<F, J, T> {
        // `None` once it has ended, or if it panicked before it gave a future.
        #[pin]
        call: Option<F>,
        job: Option<J>,
        // A function pointer rather than a bound, which `Drop` would require of the struct.
        awaits_caller: fn(&J) -> bool,
        end: Option<Result<T, Panic>>,
        parking: Option<Parking>,
        record: Record,
        // Zero until the call first waits, unless it was timed before: a call that succeeds at once does not read the
        // clock.
        began: Tick,
    }

    impl<F, J, T> PinnedDrop for DeadLetterFuture<F, J, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.call.is_some() && this.job.as_ref().is_some_and(this.awaits_caller) {
                waiting_for_caller(|| this.call.set(None));
            }
        }
    }
}

impl<F, J, T> DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Job<F::Output, T>,
{
    /// Makes the call. Without a `job`, a failure is not parked. `began` is zero unless the call is timed from its start.
    ///
    /// If `call` panics before it gives a future, the caller gets the panic once the request is parked.
    #[inline]
    pub(in crate::dead_letter) fn begin(job: Option<J>, began: Tick, call: impl FnOnce() -> F) -> Self {
        let (call, end) = match catch(call) {
            Ok(call) => (Some(call), None),
            Err(panic) => (None, Some(Err(panic))),
        };
        Self {
            call,
            job,
            awaits_caller: J::awaits_caller,
            end,
            parking: None,
            record: Record::default(),
            began,
        }
    }

    /// Waits until the request is parked, and then gives the end of the call to the caller.
    #[cold]
    fn poll_parked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        if let Some(Err(panic)) = this.end
            && let Some(job) = this.job.take()
        {
            let call = failed_call(Failure::of_panic(panic), this.record, *this.began);
            *this.parking = job.park(call);
        }
        if let Some(parking) = this.parking {
            ready!(parking.poll(cx));
            *this.parking = None;
        }
        match this.end.take() {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => panic.resume(),
            None => panic!("`DeadLetterFuture` polled after it completed"),
        }
    }
}

impl<F, J, T> Future for DeadLetterFuture<F, J, T>
where
    F: Future,
    J: Job<F::Output, T>,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut this = self.as_mut().project();
        let Some(call) = this.call.as_mut().as_pin_mut() else {
            return self.poll_parked(cx);
        };
        // A panic is resumed once the request is parked.
        let poll = || catch(|| call.poll(cx));
        // A letter that is sent again has no job. Its redrive records the attempts.
        let polled = if this.job.is_some() { this.record.during(poll) } else { poll() };
        let end = match polled {
            Ok(Poll::Pending) => {
                if *this.began == Tick::default() {
                    *this.began = clock::now();
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => {
                let output = J::convert(output);
                let (output, failure) = match this.job.as_ref() {
                    Some(job) => job.judge(output),
                    None => (output, None),
                };
                // Frees what the call holds before its request is parked.
                this.call.set(None);
                match failure {
                    None => {
                        return Poll::Ready(match this.job.take() {
                            Some(job) => job.release(output),
                            None => output,
                        });
                    }
                    Some(failure) => {
                        let call = failed_call(*failure, this.record, *this.began);
                        *this.parking = this.job.take().and_then(|job| job.park(call));
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
        self.poll_parked(cx)
    }
}

fn failed_call(failure: Failure, record: &mut Record, began: Tick) -> FailedCall {
    let took = if began == Tick::default() { Duration::ZERO } else { clock::now().since(began) };
    FailedCall { failure, took, record: std::mem::take(record) }
}

impl<F, J, T> fmt::Debug for DeadLetterFuture<F, J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.call, &self.parking) {
            (Some(_), _) => "calling",
            (None, Some(_)) => "parking",
            (None, None) => "ended",
        };
        f.debug_struct("DeadLetterFuture").field("state", &state).finish_non_exhaustive()
    }
}
