//! Parks a letter in the store.
//!
//! The caller polls the write itself, up to the park timeout, because a task would add two thread switches. After the
//! timeout, or if the caller is dropped, a task completes the write.

use std::fmt;
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

use super::draft::Draft;
use super::ticket::{Ticket, count_unsendable};
use crate::base::outcome::timing_out;
use crate::base::panics::{Panic, catch};
use crate::dead_letter::core::Core;
use crate::dead_letter::expiry;
use crate::dead_letter::json::{Encoded, encode};
use crate::dead_letter::letter::{Letter, Payload, Unsendable};
use crate::dead_letter::snapshot::DropReason;
use crate::store::{Entry, Put, StoreError};

/// How long a task waits for the store before it drops the letter.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The size of the largest request that is searched for secrets on the caller's thread. Larger ones are searched on a
/// blocking thread.
const SEARCH_INLINE: usize = 64 * 1024;

/// Waits until a letter is parked, at most for the park timeout.
pub struct Parking {
    core: Arc<Core>,
    waiting: Option<Waiting>,
}

struct Waiting {
    delivery: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Set when a task takes over the delivery, which then limits its own time.
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
    pub(in crate::dead_letter) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(());
        };
        // The delivery needs the timers of this runtime even if another executor polls the caller.
        let runtime = waiting.runtime.enter();
        // A panic drops the ticket, which counts it. The caller still gets its result.
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

/// Parks a request that is stored as one JSON value.
pub(in crate::dead_letter) fn park_value<Req>(core: &Arc<Core>, request: &Req, draft: Draft) -> Parking
where
    Req: Serialize + DeserializeOwned,
{
    match encode(request) {
        Ok(Encoded { value, exact }) => {
            park(core, draft.evidence_only(!exact), 0, std::future::ready(Ok(Payload::Value(value))))
        }
        Err(error) => park(core, draft, 0, std::future::ready(Err(error))),
    }
}

/// Parks the request that `payload` resolves to. Until then it holds `bytes`.
pub(in crate::dead_letter) fn park(
    core: &Arc<Core>,
    draft: Draft,
    bytes: u64,
    payload: impl Future<Output = Result<Payload, String>> + Send + 'static,
) -> Parking {
    let ticket = Ticket::open(core, bytes);
    let mut parking = Parking { core: Arc::clone(core), waiting: None };
    // Without a runtime the ticket is dropped, which counts the letter as dropped.
    if let Some(ticket) = ticket
        && let Ok(runtime) = Handle::try_current()
    {
        expiry::start(core, &runtime);
        let handed_over = Arc::new(AtomicBool::new(false));
        let delivery = deliver(Arc::clone(core), ticket, draft, payload, Arc::clone(&handed_over));
        parking.waiting = Some(Waiting {
            delivery: Box::pin(delivery),
            handed_over,
            limit: Box::pin(sleep(core.settings.park_timeout)),
            runtime,
        });
    }
    parking
}

async fn deliver(
    core: Arc<Core>,
    mut ticket: Ticket,
    draft: Draft,
    payload: impl Future<Output = Result<Payload, String>>,
    handed_over: Arc<AtomicBool>,
) {
    let entry = match payload.await {
        Ok(payload) if payload.is_larger_than(SEARCH_INLINE) => {
            let core = Arc::clone(&core);
            match spawn_blocking(move || entry(draft.into_letter(&core, payload))).await {
                Ok(entry) => entry,
                Err(error) => match Panic::of_task(error) {
                    Some(_) => Err("the search for secrets panicked".to_owned()),
                    // The runtime is shutting down.
                    None => return,
                },
            }
        }
        Ok(payload) => entry(draft.into_letter(&core, payload)),
        Err(error) => Err(error),
    };
    let (entry, unsendable) = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let why = format_args!("the request could not be serialized: {error}");
            return ticket.settle(Err(DropReason::Unserializable), &why);
        }
    };
    if !ticket.resize(entry.size()) {
        return ticket.refuse();
    }
    let due = entry.due;
    match with_timeout(core.store.put(entry), &handed_over).await {
        Ok(Ok(Put::Full)) => ticket.settle(
            Ok(Put::Full),
            &format_args!(
                "the queue is full: it holds at most {} letters (`capacity`) and {} bytes (`max_bytes`); redrive or \
                 purge letters, or raise the limit",
                core.settings.capacity, core.settings.max_bytes
            ),
        ),
        Ok(Ok(put)) => {
            core.redrives.schedule.note(due);
            ticket.settle(Ok(put), &"");
            if let Some(why) = unsendable {
                count_unsendable(&core, why);
            }
        }
        Ok(Err(error)) => ticket.settle(Err(drop_reason(&error)), &error),
        Err(StoreTimeout) => {
            core.store.record_put_timeout(STORE_TIMEOUT);
            let why = format_args!("the store did not answer within {STORE_TIMEOUT:?}");
            ticket.settle(Err(DropReason::Timeout), &why);
        }
    }
}

/// The entry of a letter, and the reason if it is known that the letter cannot be sent.
fn entry(letter: Letter) -> Result<(Entry, Option<Unsendable>), String> {
    let unsendable = letter.unsendable;
    letter.into_entry().map(|entry| (entry, unsendable)).map_err(|error| error.to_string())
}

struct StoreTimeout;

/// Waits for `put`. [`STORE_TIMEOUT`] applies only after a task took over; before that, the park timeout does.
async fn with_timeout<T>(put: impl Future<Output = T>, handed_over: &AtomicBool) -> Result<T, StoreTimeout> {
    let mut put = pin!(Some(put));
    let mut limit = None;
    let ended = poll_fn(|cx| {
        if let Some(Poll::Ready(put)) = put.as_mut().as_pin_mut().map(|put| put.poll(cx)) {
            return Poll::Ready(Ok(put));
        }
        if !handed_over.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let limit = limit.get_or_insert_with(|| Box::pin(sleep(STORE_TIMEOUT)));
        limit.as_mut().poll(cx).map(|()| Err(StoreTimeout))
    })
    .await;
    if ended.is_err() {
        timing_out(|| put.set(None));
    }
    ended
}

fn drop_reason(error: &StoreError) -> DropReason {
    if error.is_panic() {
        DropReason::Panic
    } else if error.is_timeout() {
        DropReason::Timeout
    } else {
        DropReason::Store
    }
}
