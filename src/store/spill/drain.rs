//! The way from the spill to the store.
//!
//! A letter is put into the store first and removed from the spill then. Whoever is killed in between does the first
//! again, which changes nothing. Letters are claimed before, so that of two processes on one file each takes others.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::circuit::{LONGEST, Try};
use super::wrapper::{Queue, Shared, for_store, no_answer};
use crate::base::clock;
use crate::base::moment;
use crate::base::outcome::within;
use crate::store::{
    Claim, Entry, LetterFilter, LetterId, Limits, Owner, Put, Settled, SpillReason, Store, StoreError,
    guarded,
};

/// Letters that are moved at once.
const BATCH: usize = 64;

/// The bytes of a batch, to which the last letter may add.
const BYTES: u64 = 4 * 1024 * 1024;

/// Letters that are moved at once to a store that was away.
const PROBES: usize = 3;

/// A letter that failed more often than this may be refused for what it is: it no longer says that the store is away.
const ITS_OWN_FAULT: u32 = 5;

/// How long the store may take for a letter for which nobody waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longer than a batch can take.
const LEASE: Duration = Duration::from_secs(10);

/// The pause after the store was full; each further time doubles it.
const SHORTEST: Duration = Duration::from_millis(100);

/// How a round ended.
enum Round {
    /// Nothing is left.
    Empty,
    /// The store takes no more, or others hold what is left; whether some were moved.
    Waiting { moved: bool },
    /// The store is away and may be tried again after this time.
    Away(Duration),
}

/// How the letters of one queue went.
enum Moved {
    All,
    Some { moved: bool },
    Away,
}

/// Held by the task, which may end with its runtime.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.draining.store(false, Ordering::SeqCst);
        }
    }
}

impl Shared {
    /// Sees to it that a task drains the spill, in the runtime that asks.
    pub(super) fn drain_soon(self: &Arc<Self>) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            let running = Running(Arc::downgrade(self));
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(drain(running, Arc::clone(&self.wake)))),
                // The next one who comes by may have a runtime.
                Err(_) => drop(running),
            }
        } else if self.idle.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }
}

async fn drain(running: Running, wake: Arc<tokio::sync::Notify>) {
    let owner = Owner::new();
    let mut pause = SHORTEST;
    loop {
        let Some(shared) = running.0.upgrade() else { return };
        let round = shared.round(owner).await;
        let wait = match round {
            Round::Empty => {
                pause = SHORTEST;
                None
            }
            Round::Waiting { moved } => {
                pause = if moved { SHORTEST } else { (pause * 2).min(LONGEST) };
                Some(pause)
            }
            Round::Away(wait) => Some(wait),
        };
        match wait {
            Some(wait) => {
                drop(shared);
                let _ = timeout(wait, wake.notified()).await;
            }
            None => {
                shared.idle.store(true, Ordering::SeqCst);
                // One that came before the flag was seen has woken nobody.
                if shared.is_empty() {
                    drop(shared);
                    wake.notified().await;
                }
                if let Some(shared) = running.0.upgrade() {
                    shared.idle.store(false, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Shared {
    fn known(&self) -> Vec<(Arc<str>, Queue)> {
        self.queues.lock().iter().map(|(name, queue)| (Arc::clone(name), *queue)).collect()
    }

    fn is_empty(&self) -> bool {
        self.known().iter().all(|(name, _)| self.spill.depth(name).waiting == 0)
    }

    async fn round(&self, owner: Owner) -> Round {
        let mut some_moved = false;
        let mut all = true;
        for (name, queue) in self.known() {
            if self.spill.depth(&name).waiting == 0 {
                continue;
            }
            match self.move_queue(&name, queue.limits, owner).await {
                Ok(Moved::All) => some_moved = true,
                Ok(Moved::Some { moved }) => {
                    some_moved |= moved;
                    all = false;
                }
                Ok(Moved::Away) => {
                    return Round::Away(self.circuit.wait().max(SHORTEST));
                }
                Err(error) => {
                    tracing::debug!(queue = &*name, "the spill is not drained for now: {error}");
                    all = false;
                }
            }
        }
        if all && self.is_empty() { Round::Empty } else { Round::Waiting { moved: some_moved } }
    }

    /// Moves the letters of one queue, batch by batch.
    async fn move_queue(&self, name: &str, limits: Limits, owner: Owner) -> Result<Moved, StoreError> {
        let Some(at) = self.circuit.admit_drainer(PATIENCE) else {
            return Ok(Moved::Away);
        };
        // A store that was away a moment ago gets a few to begin with.
        let mut size = if self.circuit.is_closed() { BATCH } else { PROBES };
        let mut moved = false;
        loop {
            let claim = Claim { owner, now: moment::now(), lease: LEASE, due_by: None, bytes: BYTES };
            let batch = self.spill.claim(name, &LetterFilter::all().limit(size), claim).await?;
            if batch.is_empty() {
                let left = self.spill.count(name, &LetterFilter::all()).await?;
                return Ok(if left == 0 { Moved::All } else { Moved::Some { moved } });
            }
            match self.move_batch(name, limits, owner, at, batch).await? {
                Moved::All => (moved, size) = (true, BATCH),
                Moved::Some { moved: some } => return Ok(Moved::Some { moved: moved || some }),
                Moved::Away => return Ok(Moved::Away),
            }
        }
    }

    async fn move_batch(
        &self,
        name: &str,
        limits: Limits,
        owner: Owner,
        at: Try,
        batch: Vec<Entry>,
    ) -> Result<Moved, StoreError> {
        let ids: Vec<_> = batch.iter().map(|entry| entry.id).collect();
        let _leaving = self.spill.leaving(ids.clone());
        let began = clock::now();
        let puts = batch.into_iter().map(|entry| async move {
            match within(PATIENCE, guarded(|| self.store.put(entry, for_store(limits)))).await {
                Ok(put) => put.map_err(|error| (SpillReason::Error, error)),
                Err(_) => Err((SpillReason::Timeout, no_answer(PATIENCE))),
            }
        });
        let puts = in_order(puts).await;
        let in_time = clock::now().since(began) <= self.patience;

        let mut settled = Vec::with_capacity(ids.len());
        let mut failed = Vec::new();
        let (mut evicted, mut moved, mut full) = (0, false, false);
        for (id, put) in ids.into_iter().zip(puts) {
            match put {
                Ok(Put::Full) => {
                    full = true;
                    settled.push(Settled::Released(id));
                }
                Ok(put) => {
                    moved = true;
                    if let Put::Kept { evicted: some } = put {
                        evicted += some;
                    }
                    self.failures.lock().remove(&id);
                    settled.push(Settled::Delivered(id));
                }
                Err((why, error)) => failed.push((id, why, error)),
            }
        }
        if evicted > 0
            && let Some(queue) = self.queues.lock().get_mut(name)
        {
            queue.evicted += evicted;
        }
        if (moved || full) && in_time {
            self.answered();
        }
        let away = !moved && !full;
        for (id, why, error) in &failed {
            let times = self.failed(*id);
            if away && times <= ITS_OWN_FAULT {
                let _ = self.circuit.failed(at, *why, error);
                settled.push(Settled::Released(*id));
            } else if times.is_power_of_two() {
                // It stays claimed for a while, so that others get their turn.
                tracing::warn!(queue = name, %id, "a dead letter stays in the spill for now: {error}");
            }
        }
        let _ = self.spill.settle(name, owner, settled).await?;
        Ok(match (away, full || !failed.is_empty()) {
            (true, _) => Moved::Away,
            (false, true) => Moved::Some { moved },
            (false, false) => Moved::All,
        })
    }

    /// How often the letter has failed to be moved, this time included.
    fn failed(&self, id: LetterId) -> u32 {
        let mut failures = self.failures.lock();
        let times = failures.entry(id).or_default();
        *times += 1;
        *times
    }
}

/// Waits for all of them, each of which begins after the one before: a store that takes what comes in turn takes the
/// oldest first.
async fn in_order<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut waiting = false;
        for (future, output) in pending.iter_mut().zip(&mut done) {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}
