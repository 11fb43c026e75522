//! One redrive from its beginning to its end.
//!
//! All of it is one future: letters that are under way, the page that comes next, what became of letters, and the
//! leases are polled side by side, so that whoever drops it stops it all.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::flight::Flight;
use super::meant::Meant;
use super::pace::Pace;
use super::pages::{Next, Pages};
use super::progress::{Listed, Progress};
use super::request::{Judge, Meaning, Redrivable, Verdict};
use super::settings::Redrive;
use super::settling::{self, End, Settling};
use super::stops::{Failures, Pauses};
use super::unsent::{self, Met};
use super::{REDRIVING, StopReason, address};
use crate::base::clock;
use crate::base::panics::{Panic, catch, caught};
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::lineage;
use crate::layers::attempts::Record;
use crate::store::{LetterId, Owner, Settled, StoreError};

/// The most letters of one pass in the background whose ids lie ahead of now; another pass takes the others.
const AHEAD: usize = 1_024;

/// What a run is to do.
pub(super) struct Course {
    pub(super) redrive: Redrive,
    /// Whether it is one pass of many in the background, which takes only letters that are due.
    pub(super) automatic: bool,
    /// Whether a breaker refused in the pass before.
    pub(super) probe: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) pace: Pace,
}

impl Course {
    pub(super) fn new(redrive: Redrive, automatic: bool) -> Self {
        let pace = Pace::new(redrive.rate);
        Self { redrive, automatic, probe: false, progress: Arc::new(Progress::new(automatic)), pace }
    }
}

/// Sends what `course` means; gives why it ended early, if it did.
pub(super) async fn run<S, Req, Via>(
    core: &Arc<Core>,
    service: &mut S,
    course: &mut Course,
) -> Result<Option<StopReason>, StoreError>
where
    S: Service<Req>,
    Req: Redrivable<Via>,
    Via: Judge<S::Response, S::Error>,
{
    core.redrives.tidied().await;
    let meant = if course.automatic {
        Meant::new(&course.redrive.filter, AHEAD)
    } else {
        if core.settings.expire_after.is_some() {
            // What is of no use any more is not meant, though it counts for as long as it is there.
            core.expire().await?;
        }
        let (meant, total) = Meant::counted(core, &course.redrive.filter).await?;
        course.progress.set_total(total);
        meant
    };
    let mut run = Run::new(core, course, meant);
    let mut flight = Flight::new();
    while let Some(letter) = poll_fn(|cx| run.poll_next(cx, &mut flight)).await {
        let request = match unsent::request::<Req, Via>(core, &letter) {
            Ok(request) => request,
            Err(why) => {
                run.skip(letter, why);
                // Else a queue of nothing else would keep its thread from others.
                consume_budget().await;
                continue;
            }
        };
        let ready = poll_fn(|cx| {
            run.work(cx, &mut flight);
            service.poll_ready(cx)
        });
        if let Err(error) = ready.await {
            run.stopped.get_or_insert(StopReason::NotReady(Via::describe(error)));
            run.pages.put_back(letter);
            break;
        }
        if !run.may_send(&letter) {
            run.pages.put_back(letter);
            continue;
        }
        run.sends();
        let began = clock::now();
        let call = REDRIVING.sync_scope(address(core), || catch(|| service.call(request)));
        let at = address(core);
        flight.push(async move {
            let sent = lineage::sending(letter.id, async {
                // A panic of the service is a failure of its letter, not the end of the redrive.
                let panicked = |panic: Panic| Meaning::Failed(Failure::of_panic(&panic));
                let call = match call {
                    Ok(call) => call,
                    Err(panic) => return panicked(panic),
                };
                let judged = REDRIVING.scope(at, async {
                    match Via::judge(call.await) {
                        Verdict::Now(meaning) => meaning,
                        Verdict::Later(meaning) => meaning.await,
                    }
                });
                caught(judged).await.unwrap_or_else(panicked)
            });
            let (meaning, record) = sent.await;
            Landed { letter, meaning, took: clock::now().since(began), record }
        });
        // A service that never waits must not keep its thread from others.
        consume_budget().await;
    }
    poll_fn(|cx| run.poll_landed(cx, &mut flight)).await;
    drop(flight);
    let mut closed = false;
    poll_fn(|cx| run.poll_close(cx, &mut closed)).await;
    run.end()
}

/// A letter whose call has ended.
pub(super) struct Landed {
    pub(super) letter: Box<Letter>,
    pub(super) meaning: Meaning,
    pub(super) took: Duration,
    pub(super) record: Record,
}

pub(super) struct Run<'a> {
    pub(super) core: Arc<Core>,
    pub(super) course: &'a mut Course,
    pub(super) owner: Owner,
    pub(super) _listed: Option<Listed>,
    pub(super) pages: Pages,
    pub(super) settling: Settling,
    pub(super) failures: Failures,
    pub(super) pauses: Pauses,
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) stopped: Option<StopReason>,
    pub(super) error: Option<StoreError>,
    /// The letters that could not be sent.
    pub(super) met: Met,
    /// How many letters were looked at as of the last report.
    pub(super) reported: u64,
    /// Where what is left is put right when this is dropped midway.
    pub(super) runtime: Option<Handle>,
}

impl<'a> Run<'a> {
    fn new(core: &Arc<Core>, course: &'a mut Course, meant: Meant) -> Self {
        let owner = Owner::new();
        Self {
            owner,
            _listed: (!course.automatic).then(|| Listed::new(core, &course.progress)),
            pages: Pages::new(core, owner, &course.redrive, meant, course.automatic),
            settling: Settling::new(core, owner),
            failures: Failures::new(&course.redrive),
            pauses: Pauses::new(course.redrive.max_pause, course.probe),
            timer: Box::pin(sleep_until(Instant::now())),
            stopped: None,
            error: None,
            met: Met::default(),
            reported: 0,
            runtime: Handle::try_current().ok(),
            core: Arc::clone(core),
            course,
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.is_some() || self.error.is_some()
    }

    /// The next letter, when it may go; none when there is no more, or the run is over.
    fn poll_next<F>(&mut self, cx: &mut Context<'_>, flight: &mut Flight<F>) -> Poll<Option<Box<Letter>>>
    where
        F: Future<Output = Landed>,
    {
        loop {
            self.work(cx, flight);
            if self.is_over() {
                return Poll::Ready(None);
            }
            if flight.len() >= self.pauses.limit(self.course.redrive.concurrency) || self.settling.is_full() {
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
            match self.pages.next() {
                Next::Letter(letter) => return Poll::Ready(Some(letter)),
                Next::End if flight.len() == 0 => return Poll::Ready(None),
                Next::End => return Poll::Pending,
                Next::Wait => {
                    // What was asked for has not been polled yet.
                    if !self.work_once(cx, flight) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// When the next letter may go, if not now.
    fn not_before(&self) -> Option<Instant> {
        let (pause, slot) = (self.pauses.until(), self.course.pace.next());
        pause.max(slot).filter(|at| *at > Instant::now())
    }

    /// Whether a letter may go that was chosen a while ago: one under way may have ended the run since, or found the
    /// circuit open, and the lease may be over.
    fn may_send(&self, letter: &Letter) -> bool {
        let paused = self.pauses.until().is_some_and(|until| until > Instant::now());
        !self.is_over() && !paused && self.pages.holds(letter)
    }

    /// A letter goes.
    fn sends(&mut self) {
        self.course.pace.take(Instant::now());
        if self.pauses.until().is_some() {
            self.course.progress.pause(None);
        }
        self.pauses.sent();
    }

    /// Takes in all that has happened.
    fn work<F: Future<Output = Landed>>(&mut self, cx: &mut Context<'_>, flight: &mut Flight<F>) {
        while self.work_once(cx, flight) {}
    }

    /// `false` when there is nothing new, and what may bring news will wake the run.
    fn work_once<F: Future<Output = Landed>>(
        &mut self,
        cx: &mut Context<'_>,
        flight: &mut Flight<F>,
    ) -> bool {
        if self.course.progress.poll_stopping(cx) {
            self.stopped.get_or_insert(StopReason::Asked);
        }
        let mut news = false;
        while let Poll::Ready(landed) = flight.poll_next(cx) {
            self.land(landed);
            news = true;
        }
        news | self.write_and_hold(cx)
    }

    fn write_and_hold(&mut self, cx: &mut Context<'_>) -> bool {
        let mut news = false;
        if let Poll::Ready(written) = self.settling.poll(cx) {
            self.written(written);
            news = true;
        }
        match self.pages.poll(cx) {
            Ok(more) => news | more,
            Err(error) => {
                self.error.get_or_insert(error);
                true
            }
        }
    }

    /// Letters that were looked at and not yet reported.
    pub(super) fn newly_matched(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.reported, self.pages.looked_at);
        self.pages.looked_at - before
    }

    /// Waits for what is under way.
    fn poll_landed<F: Future<Output = Landed>>(
        &mut self,
        cx: &mut Context<'_>,
        flight: &mut Flight<F>,
    ) -> Poll<()> {
        self.work(cx, flight);
        if flight.len() > 0 { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Lets go of what was not sent, and waits until all is written.
    fn poll_close(&mut self, cx: &mut Context<'_>, closed: &mut bool) -> Poll<()> {
        if !*closed {
            let mut unsent = Vec::new();
            if !self.pages.poll_close(cx, &mut unsent) {
                return Poll::Pending;
            }
            for id in unsent {
                self.settling.push(Settled::Released(id), End::Released);
            }
            *closed = true;
        }
        while self.write_and_hold(cx) {}
        if self.settling.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn end(mut self) -> Result<Option<StopReason>, StoreError> {
        // Whatever could not be written is free when its lease is over.
        self.runtime = None;
        self.tell_of_unsent();
        let (matched, total) = (self.newly_matched(), self.course.progress.total());
        let (by_hand, to_the_end) = (!self.course.automatic, !self.is_over());
        let stopped = self.stopped.take();
        self.course.progress.update(|report| {
            report.matched += matched;
            if by_hand {
                report.stopped.clone_from(&stopped);
                report.held = if to_the_end { total.saturating_sub(report.matched) } else { 0 };
            }
        });
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(stopped),
        }
    }
}

impl Drop for Run<'_> {
    /// Dropped midway, it lets go of what it holds, as well as that can still be done.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let (writing, mut settled) = self.settling.take();
        let (claiming, mut held) = self.pages.take();
        let dealt_with: std::collections::HashSet<LetterId> = settled.iter().map(Settled::id).collect();
        held.retain(|id| !dealt_with.contains(id));
        if writing.is_none() && claiming.is_none() && settled.is_empty() && held.is_empty() {
            return;
        }
        let (core, owner) = (Arc::clone(&self.core), self.owner);
        let leftover = runtime.spawn(async move {
            if let Some(writing) = writing {
                let _ = writing.await;
            }
            if let Some(claiming) = claiming {
                held.extend(claiming.await.unwrap_or_default().iter().map(|entry| entry.id));
            }
            settled.extend(held.into_iter().map(Settled::Released));
            let _ = settling::write(&core, owner, settled, &Arc::default()).await;
        });
        self.core.redrives.leave(leftover);
    }
}
