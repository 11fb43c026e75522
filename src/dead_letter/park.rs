//! The way of a letter to the store.
//!
//! A task of its own takes it there, so that neither a slow store nor a caller that leaves can undo it. The
//! caller waits for that task, up to the park timeout.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

use super::asking::Operation;
use super::core::Core;
use super::draft::Draft;
use super::letter::Payload;
use super::snapshot::DropReason;
use crate::store::error::Kind;
use crate::store::{Put, StoreError};

/// How long a store may take before its letter is given up.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What a caller waits for.
#[derive(Debug)]
pub(super) struct Parking {
    core: Arc<Core>,
    waiting: Option<(oneshot::Receiver<()>, Pin<Box<Sleep>>)>,
}

impl Parking {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((done, limit)) = &mut self.waiting else {
            return Poll::Ready(());
        };
        if Pin::new(done).poll(cx).is_pending() {
            if limit.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.core.count(|counts| counts.late += 1);
        }
        self.waiting = None;
        Poll::Ready(())
    }
}

/// The count of one failure, settled once: with what came of it, or by being dropped.
struct Ticket {
    core: Arc<Core>,
    /// Dropped with the ticket, which wakes the caller after the count is right.
    _done: oneshot::Sender<()>,
    settled: bool,
}

impl Ticket {
    fn settle(mut self, end: Result<Put, DropReason>, why: &dyn Display) {
        self.settled = true;
        self.core.settle(end, why);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if std::thread::panicking() {
            self.core.settle(Err(DropReason::Panic), &"the store panicked");
        } else {
            self.core.settle(Err(DropReason::Runtime), &"no runtime runs, or it was shut down");
        }
    }
}

impl Core {
    /// Parks a plain request.
    pub(super) fn park_value<Req: Serialize>(self: &Arc<Self>, request: &Req, draft: Draft) -> Parking {
        // Code of the user, and its panic must not replace the result that the caller is owed.
        let written = catch_unwind(AssertUnwindSafe(|| serde_json::to_value(request)));
        let value: Result<Value, String> = match written {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("its Serialize panicked".to_owned()),
        };
        self.park(draft, std::future::ready(value.map(Payload::Value)))
    }

    /// Parks the request that `payload` brings.
    pub(super) fn park(
        self: &Arc<Self>,
        draft: Draft,
        payload: impl Future<Output = Result<Payload, String>> + Send + 'static,
    ) -> Parking {
        let (done, waiting) = oneshot::channel();
        let room = self.begin();
        let ticket = Ticket { core: Arc::clone(self), _done: done, settled: false };
        let mut parking = Parking { core: Arc::clone(self), waiting: None };
        if !room {
            ticket.settle(Err(DropReason::Busy), &"too many wait for the store already");
        } else if let Ok(runtime) = Handle::try_current() {
            self.keep_house(&runtime);
            runtime.spawn(deliver(ticket, draft, payload));
            parking.waiting = Some((waiting, Box::pin(sleep(self.settings.park_timeout))));
        }
        parking
    }
}

async fn deliver(ticket: Ticket, draft: Draft, payload: impl Future<Output = Result<Payload, String>>) {
    let core = Arc::clone(&ticket.core);
    let written = match payload.await {
        Ok(payload) => core.letter(draft, payload).into_entry().map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let entry = match written {
        Ok(entry) => entry,
        Err(error) => {
            return ticket.settle(
                Err(DropReason::Unserializable),
                &format_args!("the request could not be written: {error}"),
            );
        }
    };
    let due = entry.due;
    let put = core.ask(Operation::Put, |store| store.put(entry, core.limits()));
    match timeout(GIVE_UP, put).await {
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
        }
        Ok(Err(error)) => ticket.settle(Err(reason(&error)), &error),
        Err(_) => {
            core.latency.record(&core.name, Operation::Put, Some(Kind::TimedOut), GIVE_UP);
            ticket.settle(Err(DropReason::Timeout), &"the store did not answer");
        }
    }
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
