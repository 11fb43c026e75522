//! One redrive from its beginning to its end.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tower::Service;

use super::flight::Flight;
use super::request::{Judge, Meaning, Redrivable, Redriven, Verdict};
use super::{REDRIVING, Redrive, RedriveReport, StopReason, address};
use crate::attempts::Record;
use crate::clock;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::lineage;
use crate::store::error::Kind;
use crate::store::{Filter, LetterId, Owner, Settled, StoreError};

/// Letters that are read from the store at once.
const PAGE: usize = 256;

/// How long to wait when a breaker does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// A pause is no shorter, so that a breaker that says "now" is not asked in a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn run<S, Req, Via>(
    core: &Arc<Core>,
    mut service: S,
    redrive: Redrive,
) -> Result<RedriveReport, StoreError>
where
    S: Service<Req>,
    Req: Redrivable<Via>,
    Via: Judge<S::Response, S::Error>,
{
    redrive.validate()?;
    let _only_one = Only::try_new(core)?;
    let mut run = Run::new(core, redrive);
    let mut flight = Flight::new();
    let mut slot = Instant::now();
    loop {
        if run.is_over() {
            break;
        }
        if flight.len() >= run.redrive.concurrency {
            run.land(&mut flight).await;
            continue;
        }
        if let Some(until) = run.pause_until.filter(|until| *until > Instant::now()) {
            run.meanwhile(&mut flight, sleep_until(until)).await;
            continue;
        }
        if slot > Instant::now() {
            run.meanwhile(&mut flight, sleep_until(slot)).await;
            continue;
        }
        let Some(letter) = run.next_letter().await? else {
            if flight.len() == 0 {
                break;
            }
            run.land(&mut flight).await;
            continue;
        };
        let request = match Req::from_letter(&letter, Redriven::new(core, &letter)) {
            Ok(request) if letter.is_whole() => request,
            _ => {
                run.report.skipped += 1;
                continue;
            }
        };
        if run.redrive.dry_run {
            continue;
        }
        let ready = run.meanwhile(&mut flight, poll_fn(|cx| service.poll_ready(cx))).await;
        if let Err(error) = ready {
            run.report.stopped = Some(StopReason::NotReady(Via::describe(error)));
            break;
        }
        // A letter that was under way may have ended it, or found the circuit open.
        if run.is_over() || run.pause_until.is_some_and(|until| until > Instant::now()) {
            run.again.push_front(letter);
            continue;
        }
        if let Some(rate) = run.redrive.rate {
            slot = Instant::now() + Duration::from_secs_f64(rate.recip());
        }
        let began = clock::now();
        let call =
            REDRIVING.sync_scope(address(core), || catch_unwind(AssertUnwindSafe(|| service.call(request))));
        let core = Arc::clone(core);
        flight.push(async move {
            let sent = lineage::sending(letter.id, async {
                let call = match call {
                    Ok(call) => call,
                    Err(panic) => return Meaning::Failed(Failure::of_panic(panic.as_ref())),
                };
                {
                    let judged = REDRIVING.scope(address(&core), async {
                        match Via::judge(call.await) {
                            Verdict::Now(meaning) => meaning,
                            Verdict::Later(meaning) => meaning.await,
                        }
                    });
                    caught(judged).await
                }
            });
            let (meaning, record) = sent.await;
            settle(&core, letter, meaning, clock::now().since(began), record).await
        });
    }
    while flight.len() > 0 {
        run.land(&mut flight).await;
    }
    match run.error {
        Some(error) => Err(error),
        None => Ok(run.report),
    }
}

/// A panic of the service is a failure of its letter, not the end of the redrive.
async fn caught(judged: impl Future<Output = Meaning>) -> Meaning {
    let mut judged = pin!(judged);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| judged.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Meaning::Failed(Failure::of_panic(panic.as_ref()))),
    })
    .await
}

/// How one letter ended.
enum Landed {
    Redriven,
    Failed,
    Refused(Box<Letter>, Option<Duration>),
    StoreFailed(StoreError),
}

async fn settle(
    core: &Arc<Core>,
    mut letter: Letter,
    meaning: Meaning,
    took: Duration,
    record: Record,
) -> Landed {
    match meaning {
        Meaning::Success => {
            core.count(|counts| counts.redriven += 1);
            match core.store.settle(&core.name, Owner::new(), vec![Settled::Delivered(letter.id)]).await {
                Ok(_) => Landed::Redriven,
                Err(error) => Landed::StoreFailed(error),
            }
        }
        Meaning::Failed(failure) => {
            core.count(|counts| counts.redrive_failures += 1);
            letter.failed_again(core, failure, took, record);
            let entry = match letter.into_entry() {
                Ok(entry) => entry,
                Err(error) => return Landed::StoreFailed(StoreError::other(error)),
            };
            // One that is gone was purged meanwhile, and stays so.
            match core.store.settle(&core.name, Owner::new(), vec![Settled::Failed(entry)]).await {
                Ok(_) => Landed::Failed,
                Err(error) => Landed::StoreFailed(error),
            }
        }
        Meaning::Refused(retry_after) => Landed::Refused(Box::new(letter), retry_after),
    }
}

struct Run {
    core: Arc<Core>,
    redrive: Redrive,
    report: RedriveReport,
    error: Option<StoreError>,
    /// Failures since the last success.
    streak: u32,
    /// Time paused since the last success.
    paused: Duration,
    pause_until: Option<Instant>,
    /// Letters that a breaker refused, and those of the page that were not yet looked at.
    again: VecDeque<Letter>,
    page: VecDeque<Letter>,
    /// What comes after the page, if anything does.
    rest: Option<Filter>,
}

impl Run {
    fn new(core: &Arc<Core>, redrive: Redrive) -> Self {
        // Letters that are parked from now on belong to the next redrive: this one must come to an end.
        let now = LetterId::new();
        let rest = Filter {
            up_to: Some(redrive.filter.up_to.map_or(now, |id| id.min(now))),
            ..redrive.filter.clone()
        };
        Self {
            core: Arc::clone(core),
            redrive,
            report: RedriveReport::default(),
            error: None,
            streak: 0,
            paused: Duration::ZERO,
            pause_until: None,
            again: VecDeque::new(),
            page: VecDeque::new(),
            rest: Some(rest),
        }
    }

    fn is_over(&self) -> bool {
        self.report.stopped.is_some() || self.error.is_some()
    }

    async fn next_letter(&mut self) -> Result<Option<Letter>, StoreError> {
        if let Some(letter) = self.again.pop_front() {
            return Ok(Some(letter));
        }
        while self.page.is_empty() {
            let Some(rest) = self.rest.take() else {
                return Ok(None);
            };
            let size = rest.limit.map_or(PAGE, |limit| limit.min(PAGE));
            let entries = self.core.store.list(&self.core.name, &rest.clone().limit(size)).await?;
            if let Some(last) = entries.last()
                && entries.len() == size
            {
                self.rest = Some(Filter {
                    limit: rest.limit.map(|limit| limit - size),
                    after: Some(last.id),
                    ..rest
                });
            }
            for entry in entries {
                match Letter::from_entry(entry) {
                    Ok(letter) => self.page.push_back(letter),
                    Err(error) => {
                        tracing::warn!(queue = &*self.core.name, "skipped a dead letter: {error}");
                        self.report.matched += 1;
                        self.report.skipped += 1;
                    }
                }
            }
        }
        let letter = self.page.pop_front();
        self.report.matched += u64::from(letter.is_some());
        Ok(letter)
    }

    /// Waits for the next letter that is under way; there is one.
    async fn land<F: Future<Output = Landed>>(&mut self, flight: &mut Flight<F>) {
        let landed = poll_fn(|cx| flight.poll_next(cx)).await;
        self.take(landed);
    }

    /// Waits for `other` while letters are under way.
    async fn meanwhile<F: Future<Output = Landed>, T>(
        &mut self,
        flight: &mut Flight<F>,
        other: impl Future<Output = T>,
    ) -> T {
        let mut other = pin!(other);
        poll_fn(|cx| {
            while let Poll::Ready(landed) = flight.poll_next(cx) {
                self.take(landed);
            }
            other.as_mut().poll(cx)
        })
        .await
    }

    fn take(&mut self, landed: Landed) {
        match landed {
            Landed::Redriven => {
                self.report.redriven += 1;
                self.streak = 0;
                self.paused = Duration::ZERO;
            }
            Landed::Failed => {
                self.report.failed += 1;
                self.streak += 1;
                if self.streak >= self.redrive.stop_after {
                    self.report.stopped.get_or_insert(StopReason::Failures(self.streak));
                }
            }
            Landed::Refused(letter, retry_after) => {
                self.again.push_back(*letter);
                self.pause(retry_after);
            }
            Landed::StoreFailed(error) => {
                self.error.get_or_insert(error);
            }
        }
    }

    fn pause(&mut self, retry_after: Option<Duration>) {
        let now = Instant::now();
        // Several that were under way are refused together; they wait together too.
        let from = self.pause_until.map_or(now, |until| until.max(now));
        let until = now + retry_after.unwrap_or(PAUSE).clamp(SHORTEST_PAUSE, Duration::from_secs(86_400));
        let longer = until.saturating_duration_since(from);
        if self.paused + longer > self.redrive.max_pause {
            self.report.stopped.get_or_insert(StopReason::CircuitOpen(retry_after));
            return;
        }
        self.paused += longer;
        self.report.paused += longer;
        self.pause_until = Some(until.max(from));
    }
}

/// The right to redrive a queue: two at once would send each letter twice.
struct Only {
    core: Arc<Core>,
}

impl Only {
    fn try_new(core: &Arc<Core>) -> Result<Self, StoreError> {
        if core.redriving.swap(true, Ordering::AcqRel) {
            let message = format!(
                "a redrive of queue `{}` is running already; wait for it to end, or stop it",
                core.name
            );
            return Err(StoreError::new(Kind::Busy, message));
        }
        Ok(Self { core: Arc::clone(core) })
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        self.core.redriving.store(false, Ordering::Release);
    }
}
