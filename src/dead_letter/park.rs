//! The way of a letter to the store.
//!
//! The caller takes it there itself, up to the park timeout: a task of its own would cost it two more ways from thread
//! to thread. Where the store is slower than that, or the caller leaves, a task goes on with it.

use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Sleep, sleep};

use super::asking::Operation;
use super::core::{Core, PARKING};
use super::draft::Draft;
use super::faithful::{self, Written};
use super::letter::{Letter, Payload};
use super::snapshot::DropReason;
use super::unsendable::Unsendable;
use crate::base::outcome::for_time;
use crate::base::panics::{Panic, catch};
use crate::store::error::Kind;
use crate::store::{Entry, Put, StoreError};

/// How long a store may take before its letter is given up.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Bytes of a request that are searched for secrets on the thread of its caller; more of them go to a thread for work
/// that blocks.
const AT_ONCE: usize = 64 * 1024;

/// What a caller waits for.
pub(super) struct Parking {
    core: Arc<Core>,
    waiting: Option<Waiting>,
}

struct Waiting {
    delivery: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Told to the delivery: nobody waits for it any more.
    handed_over: Arc<AtomicBool>,
    limit: Pin<Box<Sleep>>,
    runtime: Handle,
}

impl Waiting {
    fn hand_over(self) {
        self.handed_over.store(true, Ordering::Release);
        self.runtime.spawn(self.delivery);
    }
}

impl Parking {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(());
        };
        // It may need the runtime's clock, wherever its caller is polled.
        let runtime = waiting.runtime.enter();
        // A panic has dropped the ticket, which has counted it; the result that the caller is owed goes on.
        let delivered = catch(|| waiting.delivery.as_mut().poll(cx));
        if matches!(delivered, Ok(Poll::Pending)) {
            if waiting.limit.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            drop(runtime);
            self.core.count(|counts| counts.late += 1);
            self.hand_over();
        } else {
            drop(runtime);
            self.waiting = None;
        }
        Poll::Ready(())
    }

    fn hand_over(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.hand_over();
        }
    }
}

impl Drop for Parking {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl fmt::Debug for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parking")
            .field("queue", &self.core.name)
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}

/// The count of one failure, settled once: with what came of it, or by being dropped.
struct Ticket {
    core: Arc<Core>,
    /// What was counted of its size.
    bytes: u64,
    settled: bool,
}

impl Ticket {
    /// Counts that its letter takes `bytes`; `false` when that is too much.
    fn weigh(&mut self, bytes: u64) -> bool {
        let fits = self.core.weigh(self.bytes, bytes);
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    fn settle(mut self, end: Result<Put, DropReason>, why: &dyn Display) {
        self.settled = true;
        self.core.settle(end, self.bytes, why);
    }

    fn refuse(self) {
        let most = self.core.settings.max_parking_bytes;
        let why = format_args!(
            "{PARKING} letters or {most} bytes of them (`max_parking_bytes`) wait for the store already"
        );
        self.settle(Err(DropReason::Busy), &why);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if std::thread::panicking() {
            self.core.settle(Err(DropReason::Panic), self.bytes, &"the store panicked");
        } else {
            let why = "no runtime runs, or it was shut down";
            self.core.settle(Err(DropReason::Runtime), self.bytes, &why);
        }
    }
}

impl Core {
    /// Parks a plain request.
    pub(super) fn park_value<Req>(self: &Arc<Self>, request: &Req, draft: Draft) -> Parking
    where
        Req: Serialize + DeserializeOwned,
    {
        match faithful::write(request) {
            Ok(Written { value, faithful }) => {
                self.park(draft.evidence(!faithful), 0, std::future::ready(Ok(Payload::Value(value))))
            }
            Err(error) => self.park(draft, 0, std::future::ready(Err(error))),
        }
    }

    /// Parks the request that `payload` brings, and which holds `bytes` until then.
    pub(super) fn park(
        self: &Arc<Self>,
        draft: Draft,
        bytes: u64,
        payload: impl Future<Output = Result<Payload, String>> + Send + 'static,
    ) -> Parking {
        let room = self.begin();
        let mut ticket = Ticket { core: Arc::clone(self), bytes: 0, settled: false };
        let mut parking = Parking { core: Arc::clone(self), waiting: None };
        if !room || !ticket.weigh(bytes) {
            ticket.refuse();
        } else if let Ok(runtime) = Handle::try_current() {
            self.keep_house(&runtime);
            let handed_over = Arc::new(AtomicBool::new(false));
            parking.waiting = Some(Waiting {
                delivery: Box::pin(deliver(ticket, draft, payload, Arc::clone(&handed_over))),
                handed_over,
                limit: Box::pin(sleep(self.settings.park_timeout)),
                runtime,
            });
        }
        parking
    }
}

async fn deliver(
    mut ticket: Ticket,
    draft: Draft,
    payload: impl Future<Output = Result<Payload, String>>,
    handed_over: Arc<AtomicBool>,
) {
    let core = Arc::clone(&ticket.core);
    let written = match payload.await {
        Ok(payload) if payload.is_larger_than(AT_ONCE) => {
            let core = Arc::clone(&core);
            match spawn_blocking(move || entry(core.letter(draft, payload))).await {
                Ok(written) => written,
                Err(broken) => match Panic::of_task(broken) {
                    Some(_) => Err("the search for secrets panicked".to_owned()),
                    // The runtime ends.
                    None => return,
                },
            }
        }
        Ok(payload) => entry(core.letter(draft, payload)),
        Err(error) => Err(error),
    };
    let (entry, unsendable) = match written {
        Ok(entry) => entry,
        Err(error) => {
            return ticket.settle(
                Err(DropReason::Unserializable),
                &format_args!("the request could not be written: {error}"),
            );
        }
    };
    if !ticket.weigh(entry.size()) {
        return ticket.refuse();
    }
    let due = entry.due;
    let put = core.ask(Operation::Put, |store| store.put(entry, core.limits()));
    match patiently(put, &handed_over).await {
        Ok(Ok(Put::Full)) => ticket.settle(
            Ok(Put::Full),
            &format_args!(
                "the queue is full: it keeps {} letters of {} bytes in all; redrive or purge them, or raise \
                 `capacity` or `max_bytes`",
                core.settings.capacity, core.settings.max_bytes
            ),
        ),
        Ok(Ok(put)) => {
            core.redrives.schedule.note(due);
            ticket.settle(Ok(put), &"");
            if let Some(why) = unsendable {
                core.count_unsendable(why);
            }
        }
        Ok(Err(error)) => ticket.settle(Err(reason(&error)), &error),
        Err(GivenUp) => {
            core.latency.record(&core.name, Operation::Put, Some(Kind::TimedOut), GIVE_UP);
            ticket.settle(Err(DropReason::Timeout), &"the store did not answer");
        }
    }
}

/// A letter as the store gets it, and why it cannot be sent, if that is known.
fn entry(letter: Letter) -> Result<(Entry, Option<Unsendable>), String> {
    let unsendable = letter.unsendable;
    letter.into_entry().map(|entry| (entry, unsendable)).map_err(|error| error.to_string())
}

/// The store did not answer.
struct GivenUp;

/// Waits for `put`; once it was handed over, for no longer than [`GIVE_UP`]. Before that, its caller has a limit.
async fn patiently<T>(put: impl Future<Output = T>, handed_over: &AtomicBool) -> Result<T, GivenUp> {
    let mut put = pin!(Some(put));
    let mut limit = None;
    let ended = poll_fn(|cx| {
        if let Some(Poll::Ready(put)) = put.as_mut().as_pin_mut().map(|put| put.poll(cx)) {
            return Poll::Ready(Ok(put));
        }
        if !handed_over.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        limit.get_or_insert_with(|| Box::pin(sleep(GIVE_UP))).as_mut().poll(cx).map(|()| Err(GivenUp))
    })
    .await;
    if ended.is_err() {
        for_time(|| put.set(None));
    }
    ended
}

fn reason(error: &StoreError) -> DropReason {
    if error.is_panic() {
        DropReason::Panic
    } else if error.is_timeout() {
        DropReason::Timeout
    } else {
        DropReason::Store
    }
}
