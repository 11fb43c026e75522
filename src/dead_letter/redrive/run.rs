//! One redrive from start to end.
//!
//! The whole run is one future. It polls the calls in progress, the next page, the results and the leases side by side, so
//! that dropping it stops everything.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::consume_budget;
use tokio::time::Instant;
use tower::Service;

use super::calls::Calls;
use super::claims::Next;
use super::request::{Judged, Redrivable, Verdict, request};
use super::settler::End;
use super::state::{EndedCall, Job, Run};
use super::walk::Walk;
use crate::base::clock;
use crate::base::panics::{Panic, catch, caught};
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::running::StopReason;
use crate::dead_letter::{expiry, sending};
use crate::store::{Settled, StoreError};

/// The maximum number of letters of one pass in the background whose ids are later than now. The next pass sends the
/// others.
const MAX_AHEAD: usize = 1_024;

/// Sends the letters of `job`. Returns why it ended early, if it did.
pub(super) async fn run<S, Req, Via>(
    core: &Arc<Core>,
    service: &mut S,
    job: &mut Job,
) -> Result<Option<StopReason>, StoreError>
where
    S: Service<Req>,
    Req: Redrivable<Via, S::Response, S::Error>,
{
    core.redrives.await_cleanups().await;
    let walk = if job.automatic {
        Walk::new(&job.redrive.filter, MAX_AHEAD)
    } else {
        if core.settings.expire_after.is_some() {
            // Expired letters are not sent, but would count as letters of the run.
            expiry::expire(core).await?;
        }
        let (walk, total) = Walk::counted(&core.store, &job.redrive.filter).await?;
        job.progress.set_total(total);
        walk
    };
    let mut run = Run::new(core, job, walk);
    let mut calls = Calls::new();
    while let Some(letter) = poll_fn(|cx| run.poll_next(cx, &mut calls)).await {
        // One letter of another type is explained in the log.
        let explain = run.job.automatic && run.skips.unreadable.is_none();
        let request: Req = match request(core, &letter, explain) {
            Ok(request) => request,
            Err(skipped) => {
                run.skip(letter, skipped);
                // Otherwise a queue with only such letters would block its thread.
                consume_budget().await;
                continue;
            }
        };
        let ready = poll_fn(|cx| {
            run.work(cx, &mut calls);
            service.poll_ready(cx)
        });
        if let Err(error) = ready.await {
            run.stopped.get_or_insert(StopReason::NotReady(Req::describe(error)));
            run.claims.put_back(letter);
            break;
        }
        if !run.may_send(&letter) {
            run.claims.put_back(letter);
            continue;
        }
        run.before_send();
        let began = clock::now();
        let call = sending::begin(core, || catch(|| service.call(request)));
        let core = Arc::clone(core);
        calls.push(async move {
            let sent = sending::sending(letter.id, async {
                // A panic of the service is a failure of its letter, and does not end the redrive.
                let panicked = |panic: Panic| Verdict::Failed(Failure::of_panic(&panic));
                let call = match call {
                    Ok(call) => call,
                    Err(panic) => return panicked(panic),
                };
                let judged = sending::scope(&core, async {
                    match Req::judge(call.await) {
                        Judged::Now(verdict) => verdict,
                        Judged::Later(verdict) => verdict.await,
                    }
                });
                caught(judged).await.unwrap_or_else(panicked)
            });
            let (verdict, record) = sent.await;
            EndedCall { letter, verdict, took: clock::now().since(began), record }
        });
        // Otherwise a service that never waits would block its thread.
        consume_budget().await;
    }
    poll_fn(|cx| run.poll_calls(cx, &mut calls)).await;
    drop(calls);
    let mut released = false;
    poll_fn(|cx| run.poll_close(cx, &mut released)).await;
    run.end()
}

impl Run<'_> {
    /// The next letter, when it may be sent. `None` if there are no more, or if the run has ended.
    fn poll_next<F>(&mut self, cx: &mut Context<'_>, calls: &mut Calls<F>) -> Poll<Option<Box<Letter>>>
    where
        F: Future<Output = EndedCall>,
    {
        loop {
            self.work(cx, calls);
            if self.is_over() {
                return Poll::Ready(None);
            }
            if calls.len() >= self.pause.limit(self.job.redrive.concurrency) || self.settler.is_full() {
                return Poll::Pending;
            }
            if let Some(at) = self.not_before() {
                if self.timer.deadline() != at {
                    self.timer.as_mut().reset(at);
                }
                if self.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            match self.claims.next() {
                Next::Letter(letter) => return Poll::Ready(Some(letter)),
                Next::End if calls.len() == 0 => return Poll::Ready(None),
                Next::End => return Poll::Pending,
                Next::Wait => {
                    // `next` may have started a claim, which must be polled once.
                    if !self.work_once(cx, calls) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// When the next letter may be sent, if not now.
    fn not_before(&self) -> Option<Instant> {
        let (pause, slot) = (self.pause.until(), self.job.rate.next());
        pause.max(slot).filter(|at| *at > Instant::now())
    }

    /// Whether a letter may still be sent after the service became ready. Meanwhile another call may have ended the run or
    /// found the circuit open, and the lease may have ended.
    fn may_send(&self, letter: &Letter) -> bool {
        let paused = self.pause.until().is_some_and(|until| until > Instant::now());
        !self.is_over() && !paused && self.claims.holds(letter)
    }

    fn before_send(&mut self) {
        self.job.rate.record(Instant::now());
        if self.pause.until().is_some() {
            self.job.progress.pause(None);
        }
        self.pause.end();
    }

    /// Handles everything that has happened.
    fn work<F: Future<Output = EndedCall>>(&mut self, cx: &mut Context<'_>, calls: &mut Calls<F>) {
        while self.work_once(cx, calls) {}
    }

    /// Returns `false` if nothing has happened. The task is woken when something does.
    fn work_once<F: Future<Output = EndedCall>>(
        &mut self,
        cx: &mut Context<'_>,
        calls: &mut Calls<F>,
    ) -> bool {
        if self.job.progress.poll_stopping(cx) {
            self.stopped.get_or_insert(StopReason::Asked);
        }
        let mut worked = false;
        while let Poll::Ready(ended) = calls.poll_next(cx) {
            self.call_ended(ended);
            worked = true;
        }
        worked | self.work_on_store(cx)
    }

    /// Handles answers of the store. Returns whether there was one.
    fn work_on_store(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        if let Poll::Ready(written) = self.settler.poll(cx) {
            self.written(written);
            worked = true;
        }
        match self.claims.poll(cx) {
            Ok(answered) => worked | answered,
            Err(error) => {
                self.error.get_or_insert(error);
                true
            }
        }
    }

    /// Waits for the calls in progress.
    fn poll_calls<F: Future<Output = EndedCall>>(
        &mut self,
        cx: &mut Context<'_>,
        calls: &mut Calls<F>,
    ) -> Poll<()> {
        self.work(cx, calls);
        if calls.len() > 0 { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Releases the letters that were not sent, and waits until all results are recorded.
    fn poll_close(&mut self, cx: &mut Context<'_>, released: &mut bool) -> Poll<()> {
        if !*released {
            let mut unsent = Vec::new();
            if !self.claims.poll_close(cx, &mut unsent) {
                return Poll::Pending;
            }
            for id in unsent {
                self.settler.push(Settled::Released(id), End::Released);
            }
            *released = true;
        }
        while self.work_on_store(cx) {}
        if self.settler.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn end(mut self) -> Result<Option<StopReason>, StoreError> {
        self.close();
        self.log_skips();
        let (matched, total) = (self.newly_matched(), self.job.progress.total());
        let (by_hand, complete) = (!self.job.automatic, !self.is_over());
        let stopped = self.stopped.take();
        self.job.progress.update(|report| {
            report.matched += matched;
            if by_hand {
                report.stopped.clone_from(&stopped);
                report.held = if complete { total.saturating_sub(report.matched) } else { 0 };
            }
        });
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(stopped),
        }
    }
}
