//! The future that makes the attempts of one call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::attempt::Attempt;
use super::call_state::CallState;
use super::policy::Policy;
use super::snapshot::GiveUp;
use super::target::Target;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, Outcome, timing_out, waiting_for_caller};

pin_project! {
    /// Makes attempts until one is the last.
    ///
    /// One timer serves all limits and waits. It is set up only when an attempt is pending or a wait begins.
    ///
    /// `repr(C)` keeps the timer at the end: moving the future then copies fewer bytes while there is no timer.
    ///
    /// The struct has a bound because its drop needs it.
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
                this.call_state.on_drop(T::policy(this.link));
                give_up_attempt::<T>(this.state.as_mut());
            }
        }
    }
}

pin_project! {
    #[project = Projection]
    #[project_replace = Replaced]
    enum State<F, R, U> {
        Called { #[pin] call: F, retained: Retained<R, U> },
        Waiting { request: R },
        Readying { request: R },
        Done,
    }
}

/// The part of a request that stays here while the request is sent.
enum Retained<R, U> {
    /// A copy, for another attempt.
    Request(R),
    /// This is the last attempt: a view of the upload.
    Upload(U),
}

impl<T: Target> AttemptLoop<T> {
    /// Makes the first attempt by `call`, which has a ready service.
    #[inline]
    pub(super) fn new(
        link: T::Link,
        mut target: T,
        request: T::Request,
        call: impl FnOnce(&mut T, T::Request, Attempt) -> T::Call,
    ) -> Self {
        let policy = T::policy(&link);
        let call_state = CallState::begin(policy, T::NEEDS_ELAPSED);
        let panicked = CountPanic(policy);
        let state = attempt::<T>(&call_state, request, |sent, attempt| call(&mut target, sent, attempt));
        std::mem::forget(panicked);
        Self { link, target, call_state, timer: None, state }
    }
}

/// Dropped only if the first call panicked. That call counts as cancelled.
struct CountPanic<'a>(&'a Policy);

impl Drop for CountPanic<'_> {
    fn drop(&mut self) {
        self.0.counters.cancelled();
    }
}

/// Makes the next attempt. The last one gets the request itself.
#[inline]
fn attempt<T: Target>(
    call_state: &CallState,
    request: T::Request,
    call: impl FnOnce(T::Request, Attempt) -> T::Call,
) -> State<T::Call, T::Request, T::Upload> {
    let copy = if call_state.is_last() { None } else { T::copy(&request) };
    let (sent, retained) = match copy {
        Some(copy) => (copy, Retained::Request(request)),
        None => {
            let upload = T::upload(&request);
            (request, Retained::Upload(upload))
        }
    };
    State::Called { call: call(sent, call_state.attempt()), retained }
}

impl<T: Target> Future for AttemptLoop<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let mut this = self.project();
        let policy = T::policy(this.link);
        loop {
            match this.state.as_mut().project() {
                Projection::Called { call, .. } => {
                    let (polled, limit) = match call.poll(cx) {
                        Poll::Ready(result) => (Some(result), None),
                        Poll::Pending => {
                            this.call_state.on_pending();
                            let Some(limit) = this.call_state.limit(policy) else {
                                return Poll::Pending;
                            };
                            ready!(poll_until(this.timer.as_mut(), limit.until, cx));
                            (None, Some(limit))
                        }
                    };
                    // The attempt is dropped before anything else: it may hold a permit that the next one needs.
                    let retained = match &polled {
                        Some(_) => end_attempt(this.state.as_mut()),
                        None => timing_out(|| give_up_attempt::<T>(this.state.as_mut())),
                    };
                    this.timer.set(None);
                    let result = match polled {
                        Some(result) => this.target.judge(result, retained.as_ref()),
                        None => {
                            let is_deadline = limit.is_some_and(|limit| limit.is_deadline);
                            let why = CallState::timed_out(policy, is_deadline);
                            let result = this.target.time_out(why, retained.as_ref());
                            if is_deadline {
                                let text = || this.target.error_text(&result.output);
                                this.call_state.record_failure(FailureKind::Timeout, text);
                                this.call_state.expire(policy);
                                return Poll::Ready(result.output);
                            }
                            result
                        }
                    };
                    let kind = match result.outcome {
                        Outcome::Success | Outcome::Ignored => {
                            this.call_state.succeed(policy);
                            return Poll::Ready(result.output);
                        }
                        Outcome::Failure(kind) | Outcome::Permanent(kind) => kind,
                    };
                    this.call_state.record_failure(kind, || this.target.error_text(&result.output));
                    let Some(wait) = this.call_state.decide(policy, &result, kind, retained.is_some()) else {
                        return Poll::Ready(result.output);
                    };
                    // The failed response is dropped before the wait.
                    drop(result);
                    if let Some(request) = retained {
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
                        this.call_state.start_next_attempt(policy);
                        if let Replaced::Readying { request } =
                            this.state.as_mut().project_replace(State::Done)
                        {
                            this.state.set(attempt::<T>(this.call_state, request, |sent, attempt| {
                                T::call(service, sent, attempt)
                            }));
                        }
                    }
                    Poll::Ready(Err(result)) => {
                        let kind = result.outcome.failure().unwrap_or(FailureKind::Error);
                        this.call_state.give_up(policy, kind, result.veto.unwrap_or(GiveUp::NotReady));
                        this.state.set(State::Done);
                        return Poll::Ready(result.output);
                    }
                    Poll::Pending => {
                        let Some(deadline) = this.call_state.deadline_of(&policy.settings.load()) else {
                            return Poll::Pending;
                        };
                        ready!(poll_until(this.timer.as_mut(), deadline, cx));
                        this.state.set(State::Done);
                        this.call_state.give_up(policy, FailureKind::Timeout, GiveUp::Deadline);
                        let why = CallState::timed_out(policy, true);
                        return Poll::Ready(this.target.time_out(why, None).output);
                    }
                },
                Projection::Done => panic!("the future of a retry was polled after completion"),
            }
        }
    }
}

/// Drops the attempt; returns the request to send again.
#[inline]
fn end_attempt<F, R, U>(state: Pin<&mut State<F, R, U>>) -> Option<R> {
    match state.project_replace(State::Done) {
        Replaced::Called { retained: Retained::Request(request), .. } => Some(request),
        _ => None,
    }
}

/// Drops an unfinished attempt; returns the request to send again.
#[cold]
fn give_up_attempt<T: Target>(
    mut state: Pin<&mut State<T::Call, T::Request, T::Upload>>,
) -> Option<T::Request> {
    let awaits_caller = match state.as_mut().project() {
        Projection::Called { retained: Retained::Request(request), .. } => {
            T::awaits_caller(&T::upload(request))
        }
        Projection::Called { retained: Retained::Upload(upload), .. } => T::awaits_caller(upload),
        _ => false,
    };
    if awaits_caller { waiting_for_caller(|| end_attempt(state)) } else { end_attempt(state) }
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
