//! How loops are stopped.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::item_counts::ItemCounts;
use crate::base::clock::{self, Tick};
use crate::base::registry::Registry;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// How long a drain waits after its limit, until the runs that it ended are dropped.
const GRACE: Duration = Duration::from_millis(100);

/// How often a drain looks whether the items outside of loops have ended.
const LOOK: Duration = Duration::from_millis(10);

/// The result of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drained {
    /// The number of loops that ended by themselves.
    pub ended: u64,
    /// The loops whose run was ended because of the limit.
    pub aborted: Vec<Arc<str>>,
    /// Items that [`Worker::run`](super::Worker::run) was still processing, outside of the loops that ended.
    pub items: u64,
}

impl Drained {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.aborted.is_empty() && self.items == 0
    }
}

/// What stops one loop.
pub(super) struct Control {
    pub(super) name: Arc<str>,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    running: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Control {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            stop: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            running: AtomicBool::new(false),
            task: OnceLock::new(),
        })
    }

    pub(super) fn set_task(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    pub(super) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Waits until `due`. Returns `false` if the loop is to stop.
    pub(super) async fn wait_until(&self, due: Tick) -> bool {
        self.unless_stopped(async {
            loop {
                let left = due.since(clock::now());
                if left.is_zero() {
                    return;
                }
                sleep(left).await;
            }
        })
        .await
        .is_some()
    }

    /// The output of `work`, or `None` if the loop is to stop.
    pub(super) async fn unless_stopped<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut asked = self.stop.subscribe();
        let (mut stop, mut work) = (pin!(asked.wait_for(|stop| *stop)), pin!(work));
        poll_fn(|cx| {
            // `self` holds the sender, so that this does not fail.
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn wait_ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// Marks a loop as ended when its task ends, in whatever way.
pub(super) struct MarkEnded(pub(super) Arc<Control>);

impl Drop for MarkEnded {
    fn drop(&mut self) {
        self.0.set_running(false);
        self.0.ended.send_replace(true);
    }
}

/// Stops `loops`, and waits up to `limit` for their runs and for `items`. Runs that take longer are ended.
pub(super) async fn drain(loops: &[Arc<Control>], items: Option<&ItemCounts>, limit: Duration) -> Drained {
    for control in loops {
        control.stop.send_replace(true);
    }
    let all_ended = async {
        for control in loops {
            control.wait_ended().await;
        }
        while items.is_some_and(|items| items.active() > 0) {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(limit, all_ended).await;
    let late: Vec<_> = loops.iter().filter(|control| !control.has_ended()).collect();
    for control in &late {
        control.abort();
    }
    let dropped = async {
        for control in &late {
            control.wait_ended().await;
        }
    };
    let _ = timeout(GRACE, dropped).await;
    Drained {
        ended: (loops.len() - late.len()) as u64,
        aborted: late.iter().map(|control| Arc::clone(&control.name)).collect(),
        items: items.map_or(0, ItemCounts::active),
    }
}

/// The loops of a worker.
pub(super) struct Controls(Registry<Control>);

impl Controls {
    pub(super) fn add(&self, control: &Arc<Control>) {
        self.0.add(Arc::downgrade(control));
    }

    /// The loops that have not ended.
    pub(super) fn all(&self) -> Vec<Arc<Control>> {
        let mut all = self.0.living();
        all.retain(|control| !control.has_ended());
        all
    }
}

impl Default for Controls {
    fn default() -> Self {
        Self(Registry::new())
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("name", &self.name).finish_non_exhaustive()
    }
}
