//! Removes expired letters while a queue is in use.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::core::Core;
use crate::base::moment;
use crate::base::outcome::within;
use crate::store::StoreError;

/// The longest time between two removals.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The shortest time between two removals.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Marks the task as ended when it is dropped. The task may also end with its runtime.
struct TaskGuard(Weak<Core>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.expiry_runs.store(false, Ordering::Release);
        }
    }
}

/// Removes the letters that have expired by now.
pub(super) async fn expire(core: &Core) -> Result<u64, StoreError> {
    let expired = core.store.expire(moment::now()).await?;
    core.count(|counts| counts.expired += expired);
    Ok(expired)
}

/// Starts the task that removes expired letters, unless it runs or letters do not expire. The task ends when the queue
/// has no handle and no layer.
pub(super) fn start(core: &Arc<Core>, runtime: &Handle) {
    let Some(time) = core.settings.expire_after else {
        return;
    };
    if core.expiry_runs.swap(true, Ordering::AcqRel) {
        return;
    }
    let pause = (time / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    let guard = TaskGuard(Arc::downgrade(core));
    runtime.spawn(async move {
        loop {
            sleep(pause).await;
            let Some(core) = guard.0.upgrade() else {
                return;
            };
            if let Ok(Err(error)) = within(LONGEST_PAUSE, expire(&core)).await {
                tracing::debug!(
                    queue = &*core.name,
                    "expired letters could not be removed; the queue tries again later: {error}"
                );
            }
        }
    });
}
