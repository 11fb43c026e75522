//! The drainer: the task that moves letters from the spill to the store.
//!
//! It puts a letter into the store before it removes it from the spill. If the process is killed in between, the
//! letter is put again later, which changes nothing. The drainer claims letters first, so that two processes that
//! share the file move different letters.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::circuit::{Attempt, LONGEST};
use super::shared::{Queue, Shared, for_store, timed_out};
use crate::base::clock;
use crate::base::moment;
use crate::base::outcome::within;
use crate::store::{
    Claim, Entry, LetterFilter, LetterId, Limits, Owner, Put, Settled, SpillReason, Store, StoreError,
    guarded,
};

/// The maximum number of letters in a batch.
const BATCH: usize = 64;

/// A batch ends when it has at least this number of bytes.
const BYTES: u64 = 4 * 1024 * 1024;

/// The size of the first batch for a store that was failing.
const PROBES: usize = 3;

/// After this many failures of one letter, the letter itself may be the cause. Its failures then no longer count as an
/// outage of the store.
const MAX_FAILURES: u32 = 5;

/// How long the store may take for a letter. It is longer than for a new letter, because no caller waits.
const PUT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longer than a batch can take.
const LEASE: Duration = Duration::from_secs(10);

/// The pause after the store was full. Each further time doubles it.
const SHORTEST: Duration = Duration::from_millis(100);

/// The result of one round through all queues.
enum Round {
    /// The spill is empty.
    Empty,
    /// Letters are left: the store is full, or another process has claimed them. `moved` says whether some were moved.
    Waiting { moved: bool },
    /// The store fails. The next attempt may begin after this time.
    Outage(Duration),
}

/// The result for one queue, or for one batch.
enum Moved {
    All,
    Some { moved: bool },
    Outage,
}

/// Marks the drainer as stopped when it is dropped. A runtime that shuts down drops the task.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.is_draining.store(false, Ordering::SeqCst);
        }
    }
}

impl Shared {
    /// Starts the drainer in the current runtime, or wakes it.
    pub(super) fn drain_soon(self: &Arc<Self>) {
        if !self.is_draining.swap(true, Ordering::SeqCst) {
            let running = Running(Arc::downgrade(self));
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(drain(running, Arc::clone(&self.wake)))),
                // Without a runtime, a later call starts it.
                Err(_) => drop(running),
            }
        } else if self.is_idle.load(Ordering::SeqCst) {
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
            Round::Outage(wait) => Some(wait),
        };
        match wait {
            Some(wait) => {
                drop(shared);
                let _ = timeout(wait, wake.notified()).await;
            }
            None => {
                shared.is_idle.store(true, Ordering::SeqCst);
                // A letter that was spilled before the flag was set has not woken the drainer.
                if shared.is_empty() {
                    drop(shared);
                    wake.notified().await;
                }
                if let Some(shared) = running.0.upgrade() {
                    shared.is_idle.store(false, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Shared {
    fn registered_queues(&self) -> Vec<(Arc<str>, Queue)> {
        self.queues.lock().iter().map(|(name, queue)| (Arc::clone(name), *queue)).collect()
    }

    fn is_empty(&self) -> bool {
        self.registered_queues().iter().all(|(name, _)| self.spill.depth(name).waiting == 0)
    }

    async fn round(&self, owner: Owner) -> Round {
        let mut some_moved = false;
        let mut all = true;
        for (name, queue) in self.registered_queues() {
            if self.spill.depth(&name).waiting == 0 {
                continue;
            }
            match self.move_queue(&name, queue.limits, owner).await {
                Ok(Moved::All) => some_moved = true,
                Ok(Moved::Some { moved }) => {
                    some_moved |= moved;
                    all = false;
                }
                Ok(Moved::Outage) => {
                    return Round::Outage(self.circuit.wait().max(SHORTEST));
                }
                Err(error) => {
                    let spill = self.spill.path().display();
                    tracing::debug!(%spill, queue = &*name, "draining the spill failed; it is tried again: {error}");
                    all = false;
                }
            }
        }
        if all && self.is_empty() { Round::Empty } else { Round::Waiting { moved: some_moved } }
    }

    /// Moves the letters of one queue, batch by batch.
    async fn move_queue(&self, name: &str, limits: Limits, owner: Owner) -> Result<Moved, StoreError> {
        let Some(attempt) = self.circuit.admit_drainer(PUT_TIMEOUT) else {
            return Ok(Moved::Outage);
        };
        let mut size = if self.circuit.is_closed() { BATCH } else { PROBES };
        let mut moved = false;
        loop {
            let claim = Claim { owner, now: moment::now(), lease: LEASE, due_by: None, bytes: BYTES };
            let batch = self.spill.claim(name, &LetterFilter::all().limit(size), claim).await?;
            if batch.is_empty() {
                let left = self.spill.count(name, &LetterFilter::all()).await?;
                return Ok(if left == 0 { Moved::All } else { Moved::Some { moved } });
            }
            match self.move_batch(name, limits, owner, attempt, batch).await? {
                Moved::All => (moved, size) = (true, BATCH),
                Moved::Some { moved: some } => return Ok(Moved::Some { moved: moved || some }),
                Moved::Outage => return Ok(Moved::Outage),
            }
        }
    }

    async fn move_batch(
        &self,
        name: &str,
        limits: Limits,
        owner: Owner,
        attempt: Attempt,
        batch: Vec<Entry>,
    ) -> Result<Moved, StoreError> {
        let ids: Vec<_> = batch.iter().map(|entry| entry.id).collect();
        let _moving = self.spill.mark_moving(ids.clone());
        let began = clock::now();
        let puts = batch.into_iter().map(|entry| async move {
            match within(PUT_TIMEOUT, guarded(|| self.store.put(entry, for_store(limits)))).await {
                Ok(put) => put.map_err(|error| (SpillReason::Error, error)),
                Err(_) => Err((SpillReason::Timeout, timed_out(name, PUT_TIMEOUT))),
            }
        });
        let puts = in_order(puts).await;
        let in_time = clock::now().since(began) <= self.put_timeout;

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
        let is_outage = !moved && !full;
        for (id, why, error) in &failed {
            let times = self.count_failure(*id);
            if is_outage && times <= MAX_FAILURES {
                let _ = self.circuit.failed(attempt, *why, error);
                settled.push(Settled::Released(*id));
            } else if times.is_power_of_two() {
                // The letter is not released: while its lease lasts, the drainer moves others.
                let spill = self.spill.path().display();
                tracing::warn!(
                    %spill, queue = name, %id, failures = times,
                    "a dead letter cannot be moved from the spill to the store; it is tried again: {error}"
                );
            }
        }
        let _ = self.spill.settle(name, owner, settled).await?;
        Ok(match (is_outage, full || !failed.is_empty()) {
            (true, _) => Moved::Outage,
            (false, true) => Moved::Some { moved },
            (false, false) => Moved::All,
        })
    }

    /// Counts a failure to move the letter. Returns the number of its failures.
    fn count_failure(&self, id: LetterId) -> u32 {
        let mut failures = self.failures.lock();
        let times = failures.entry(id).or_default();
        *times += 1;
        *times
    }
}

/// Runs all futures at the same time and polls them in order, so that a store that works in the order of its calls gets
/// the oldest letter first.
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
