//! The future that makes the attempts of one call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::call_state::{Attempt, CallState, Judged, Rules};
use super::snapshot::GiveUp;
use crate::base::clock::{self, Tick};
use crate::base::error::TimedOut;
use crate::base::outcome::{FailureKind, Outcome, by_caller, for_time};
use crate::layers::attempts::Said;

/// The service that is called, and how its results are read.
pub(super) trait Target {
    /// Leads to the rules and to what the calls of one service share.
    type Link;
    type Service: ?Sized;
    type Request;
    type Upload;
    type Call: Future;
    type Output;

    /// Whether the service is told the elapsed time of the call.
    const TELLS: bool = false;

    fn rules(link: &Self::Link) -> &Rules;

    /// A copy of the request, if it can be copied.
    fn copy(request: &Self::Request) -> Option<Self::Request>;

    /// Calls `service`, which said that it is ready.
    fn call(service: &mut Self::Service, request: Self::Request, attempt: Attempt) -> Self::Call;

    /// A service that is ready for another request, or the result of the call if none ever will be.
    #[allow(clippy::type_complexity)] // It is `poll_ready`.
    fn poll_ready(
        &mut self,
        link: &Self::Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<&mut Self::Service, Judged<Self::Output>>>;

    /// Judges the result of an attempt; `kept` is the request to send again.
    fn judge(
        &mut self,
        result: <Self::Call as Future>::Output,
        kept: Option<&Self::Request>,
    ) -> Judged<Self::Output>;

    /// The progress of a request whose caller streams it.
    fn upload(request: &Self::Request) -> Self::Upload;

    /// Whether the service waits for the caller to go on with the request.
    fn awaits_caller(upload: &Self::Upload) -> bool;

    /// Another attempt follows: earlier attempts may read no more of the request.
    fn take_over(request: &Self::Request) {
        let _ = request;
    }

    /// The text of a failed attempt's output.
    fn say(&self, output: &Self::Output) -> Said;

    /// The result of an attempt that a limit ended.
    fn time_out(&mut self, why: TimedOut, kept: Option<&Self::Request>) -> Judged<Self::Output>;
}

pin_project! {
    /// Makes attempts until one is the last.
    ///
    /// One timer serves all limits and waits. An attempt that ends at its first poll sets none up.
    ///
    /// `repr(C)` keeps the timer at the end: moving the future then copies fewer bytes while there is no timer.
    #[repr(C)]
    pub(super) struct AttemptLoop<T: Target> {
        #[pin]
        state: State<T::Call, T::Request, T::Upload>,
        call_state: CallState,
        link: T::Link,
        target: T,
        #[pin]
        timer: Option<Sleep>,
    }

    impl<T: Target> PinnedDrop for AttemptLoop<T> {
        fn drop(this: Pin<&mut Self>) {
            if !this.call_state.is_settled() {
                let mut this = this.project();
                this.call_state.drop_midway(T::rules(this.link));
                give_up_attempt::<T>(this.state.as_mut());
            }
        }
    }
}

pin_project! {
    #[project = Projection]
    #[project_replace = Replaced]
    enum State<F, R, U> {
        Called { #[pin] call: F, kept: Kept<R, U> },
        Waiting { request: R },
        Readying { request: R },
        Done,
    }
}

/// The part of a request that is kept while it is sent.
enum Kept<R, U> {
    /// All of it, for another attempt.
    Request(R),
    /// This is the last attempt: the progress of the request's caller.
    Upload(U),
}

impl<T: Target> AttemptLoop<T> {
    /// Makes the first attempt by `call`; a service is ready for it.
    #[inline]
    pub(super) fn new(
        link: T::Link,
        mut target: T,
        request: T::Request,
        call: impl FnOnce(&mut T, T::Request, Attempt) -> T::Call,
    ) -> Self {
        let rules = T::rules(&link);
        let call_state = CallState::begin(rules, T::TELLS);
        let panicked = Panicked(rules);
        let state =
            attempt::<T>(rules, &call_state, request, |sent, attempt| call(&mut target, sent, attempt));
        std::mem::forget(panicked);
        Self { link, target, call_state, timer: None, state }
    }
}

/// Dropped only if the first call panicked. The call counts as cancelled.
struct Panicked<'a>(&'a Rules);

impl Drop for Panicked<'_> {
    fn drop(&mut self) {
        self.0.cancelled();
    }
}

/// Makes the next attempt. The last one gets the request itself.
#[inline]
fn attempt<T: Target>(
    rules: &Rules,
    call_state: &CallState,
    request: T::Request,
    call: impl FnOnce(T::Request, Attempt) -> T::Call,
) -> State<T::Call, T::Request, T::Upload> {
    let copy = if call_state.is_last(rules) { None } else { T::copy(&request) };
    let (sent, kept) = match copy {
        Some(copy) => (copy, Kept::Request(request)),
        None => {
            let upload = T::upload(&request);
            (request, Kept::Upload(upload))
        }
    };
    State::Called { call: call(sent, call_state.attempt()), kept }
}

impl<T: Target> Future for AttemptLoop<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let mut this = self.project();
        let rules = T::rules(this.link);
        loop {
            match this.state.as_mut().project() {
                Projection::Called { call, .. } => {
                    let (result, limit) = match call.poll(cx) {
                        Poll::Ready(result) => (Some(result), None),
                        Poll::Pending => {
                            this.call_state.waits();
                            let Some(limit) = this.call_state.limit(rules) else {
                                return Poll::Pending;
                            };
                            ready!(poll_until(this.timer.as_mut(), limit.until, cx));
                            (None, Some(limit))
                        }
                    };
                    // The attempt is dropped before anything else: it may hold a permit that the next one needs.
                    let kept = match &result {
                        Some(_) => end_attempt(this.state.as_mut()),
                        None => for_time(|| give_up_attempt::<T>(this.state.as_mut())),
                    };
                    this.timer.set(None);
                    let judged = match result {
                        Some(result) => this.target.judge(result, kept.as_ref()),
                        None => {
                            let is_final = limit.is_some_and(|limit| limit.is_final);
                            let why = CallState::timed_out(rules, is_final);
                            let judged = this.target.time_out(why, kept.as_ref());
                            if is_final {
                                this.call_state
                                    .tell(FailureKind::Timeout, || this.target.say(&judged.output));
                                this.call_state.expire(rules);
                                return Poll::Ready(judged.output);
                            }
                            judged
                        }
                    };
                    let kind = match judged.outcome {
                        Outcome::Success | Outcome::Ignored => {
                            this.call_state.succeed(rules);
                            return Poll::Ready(judged.output);
                        }
                        Outcome::Failure(kind) | Outcome::Permanent(kind) => kind,
                    };
                    this.call_state.tell(kind, || this.target.say(&judged.output));
                    let Some(wait) = this.call_state.weigh(rules, &judged, kind, kept.is_some()) else {
                        return Poll::Ready(judged.output);
                    };
                    // The failed response is dropped before the wait.
                    drop(judged);
                    if let Some(request) = kept {
                        T::take_over(&request);
                        if !wait.is_zero() {
                            this.timer.set(Some(sleep(wait)));
                        }
                        this.state.set(State::Waiting { request });
                    }
                }
                Projection::Waiting { .. } => {
                    if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                        ready!(timer.poll(cx));
                    }
                    this.timer.set(None);
                    if let Replaced::Waiting { request } = this.state.as_mut().project_replace(State::Done) {
                        this.state.set(State::Readying { request });
                    }
                }
                Projection::Readying { .. } => match this.target.poll_ready(this.link, cx) {
                    Poll::Ready(Ok(service)) => {
                        this.timer.set(None);
                        this.call_state.advance(rules);
                        if let Replaced::Readying { request } =
                            this.state.as_mut().project_replace(State::Done)
                        {
                            this.state.set(attempt::<T>(rules, this.call_state, request, |sent, attempt| {
                                T::call(service, sent, attempt)
                            }));
                        }
                    }
                    Poll::Ready(Err(judged)) => {
                        let kind = judged.outcome.failure().unwrap_or(FailureKind::Error);
                        this.call_state.give_up(rules, kind, judged.veto.unwrap_or(GiveUp::NotReady));
                        this.state.set(State::Done);
                        return Poll::Ready(judged.output);
                    }
                    Poll::Pending => {
                        let Some(deadline) = this.call_state.deadline(rules) else {
                            return Poll::Pending;
                        };
                        ready!(poll_until(this.timer.as_mut(), deadline, cx));
                        this.state.set(State::Done);
                        this.call_state.give_up(rules, FailureKind::Timeout, GiveUp::Deadline);
                        let why = CallState::timed_out(rules, true);
                        return Poll::Ready(this.target.time_out(why, None).output);
                    }
                },
                // Polled again after its end.
                Projection::Done => return Poll::Pending,
            }
        }
    }
}

/// Drops the attempt; returns the request to send again.
#[inline]
fn end_attempt<F, R, U>(state: Pin<&mut State<F, R, U>>) -> Option<R> {
    match state.project_replace(State::Done) {
        Replaced::Called { kept: Kept::Request(request), .. } => Some(request),
        _ => None,
    }
}

/// Drops an unfinished attempt; returns the request to send again.
#[cold]
fn give_up_attempt<T: Target>(
    mut state: Pin<&mut State<T::Call, T::Request, T::Upload>>,
) -> Option<T::Request> {
    let awaits_caller = match state.as_mut().project() {
        Projection::Called { kept: Kept::Request(request), .. } => T::awaits_caller(&T::upload(request)),
        Projection::Called { kept: Kept::Upload(upload), .. } => T::awaits_caller(upload),
        _ => false,
    };
    if awaits_caller { by_caller(|| end_attempt(state)) } else { end_attempt(state) }
}

/// Ready at `until`; sets the timer up at the first poll.
fn poll_until(mut timer: Pin<&mut Option<Sleep>>, until: Tick, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(until.since(clock::now()))));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}
