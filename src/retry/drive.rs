//! The future that makes the attempts of one call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::course::{Attempt, Course, Judged, Rules};
use super::snapshot::GiveUp;
use crate::clock::{self, Tick};
use crate::error::TimedOut;
use crate::outcome::FailureKind;

/// What is called, and how its answers are read.
pub(super) trait Target {
    type Request;
    type Call: Future;
    type Output;

    /// The request once more, if that is possible.
    fn copy(&self, request: &Self::Request) -> Option<Self::Request>;

    /// Whether it takes another request; what it came to if it never will.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Judged<Self::Output>>>;

    /// Calls it, after it said that it is ready.
    fn call(&mut self, request: Self::Request, attempt: Attempt) -> Self::Call;

    /// What an attempt came to; `kept` is the request to send again.
    fn judge(
        &mut self,
        result: <Self::Call as Future>::Output,
        kept: Option<&Self::Request>,
    ) -> Judged<Self::Output>;

    /// What an attempt came to that was ended.
    fn time_out(&mut self, why: TimedOut, kept: Option<&Self::Request>) -> Judged<Self::Output>;
}

pin_project! {
    /// Makes attempts until one is the last.
    ///
    /// There is one timer, for whichever limit or wait the call is under; none is set up for an attempt that
    /// ends at its first poll.
    pub(super) struct Drive<T: Target> {
        target: T,
        course: Course,
        #[pin]
        timer: Option<Sleep>,
        #[pin]
        state: State<T::Call, T::Request>,
    }
}

pin_project! {
    #[project = Projection]
    #[project_replace = Replaced]
    enum State<F, R> {
        Called { #[pin] call: F, kept: Option<R> },
        Waiting { request: R },
        Readying { request: R },
        Done,
    }
}

impl<T: Target> Drive<T> {
    /// Calls `target`, which said that it is ready.
    #[inline]
    pub(super) fn new(rules: &Arc<Rules>, mut target: T, request: T::Request) -> Self {
        let course = Course::begin(rules);
        let state = attempt(&mut target, &course, request);
        Self { target, course, timer: None, state }
    }
}

/// Makes the attempt that `course` is at; the last one has the request itself.
#[inline]
fn attempt<T: Target>(target: &mut T, course: &Course, request: T::Request) -> State<T::Call, T::Request> {
    let copy = if course.is_last() { None } else { target.copy(&request) };
    let (sent, kept) = match copy {
        Some(copy) => (copy, Some(request)),
        None => (request, None),
    };
    State::Called { call: target.call(sent, course.attempt()), kept }
}

impl<T: Target> Future for Drive<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                Projection::Called { call, .. } => {
                    let (result, limit) = match call.poll(cx) {
                        Poll::Ready(result) => (Some(result), None),
                        Poll::Pending => {
                            let Some(limit) = this.course.limit() else {
                                return Poll::Pending;
                            };
                            ready!(poll_until(this.timer.as_mut(), limit.until, cx));
                            (None, Some(limit))
                        }
                    };
                    // The attempt is dropped before anything else: it may hold a permit that the next one needs.
                    let kept = match this.state.as_mut().project_replace(State::Done) {
                        Replaced::Called { kept, .. } => kept,
                        _ => None,
                    };
                    this.timer.set(None);
                    let judged = match result {
                        Some(result) => this.target.judge(result, kept.as_ref()),
                        None => {
                            let is_final = limit.is_some_and(|limit| limit.is_final);
                            let judged = this.target.time_out(this.course.timed_out(is_final), kept.as_ref());
                            if is_final {
                                this.course.give_up(FailureKind::Timeout, GiveUp::Deadline);
                                return Poll::Ready(judged.output);
                            }
                            judged
                        }
                    };
                    let Some(wait) = this.course.weigh(&judged, kept.is_some()) else {
                        return Poll::Ready(judged.output);
                    };
                    // So is the refused response, before the wait.
                    drop(judged);
                    if let Some(request) = kept {
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
                Projection::Readying { .. } => match this.target.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        this.timer.set(None);
                        this.course.advance();
                        if let Replaced::Readying { request } =
                            this.state.as_mut().project_replace(State::Done)
                        {
                            this.state.set(attempt(this.target, this.course, request));
                        }
                    }
                    Poll::Ready(Err(judged)) => {
                        let kind = judged.outcome.failure().unwrap_or(FailureKind::Error);
                        this.course.give_up(kind, judged.veto.unwrap_or(GiveUp::NotReady));
                        this.state.set(State::Done);
                        return Poll::Ready(judged.output);
                    }
                    Poll::Pending => {
                        let Some(deadline) = this.course.deadline() else {
                            return Poll::Pending;
                        };
                        ready!(poll_until(this.timer.as_mut(), deadline, cx));
                        this.state.set(State::Done);
                        this.course.give_up(FailureKind::Timeout, GiveUp::Deadline);
                        return Poll::Ready(this.target.time_out(this.course.timed_out(true), None).output);
                    }
                },
                // Polled again after its end, which no future promises anything about.
                Projection::Done => return Poll::Pending,
            }
        }
    }
}

/// Ready at `until`; sets the timer up when it is asked for the first time.
fn poll_until(mut timer: Pin<&mut Option<Sleep>>, until: Tick, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(until.since(clock::now()))));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}
