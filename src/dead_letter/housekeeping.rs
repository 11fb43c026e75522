//! What a queue does without being asked: letters whose time is over go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::asking::Operation;
use super::core::Core;
use crate::base::moment;
use crate::base::outcome::within;
use crate::store::StoreError;

/// Letters go no later than this after their time.
const LATEST: Duration = Duration::from_secs(60);

/// The store is not asked more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// Whether the task runs.
#[derive(Debug, Default)]
pub(super) struct House(AtomicBool);

/// Held by the task, which may end with its runtime.
struct Running(Weak<Core>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.house.0.store(false, Ordering::Release);
        }
    }
}

impl Core {
    /// Removes the letters whose time is over.
    pub(super) async fn expire(&self) -> Result<u64, StoreError> {
        let now = moment::now();
        let expired = self.ask(Operation::Expire, |store| store.expire(&self.name, now)).await?;
        self.count(|counts| counts.expired += expired);
        Ok(expired)
    }

    /// Sees to it that letters whose time is over go, for as long as there is a handle or a layer.
    pub(super) fn keep_house(self: &Arc<Self>, runtime: &Handle) {
        let Some(time) = self.settings.expire_after else {
            return;
        };
        if self.house.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let pause = (time / 10).clamp(SHORTEST, LATEST);
        let running = Running(Arc::downgrade(self));
        runtime.spawn(async move {
            loop {
                sleep(pause).await;
                let Some(core) = running.0.upgrade() else {
                    return;
                };
                if let Ok(Err(error)) = within(LATEST, core.expire()).await {
                    tracing::debug!(queue = &*core.name, "expired letters stay for now: {error}");
                }
            }
        });
    }
}
