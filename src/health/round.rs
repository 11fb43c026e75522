//! What is kept of each component from one look to the next, and who looks when nobody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::handle::Inner;
use super::predict::{Outlook, Watch};
use super::status::Status;
use crate::sync::atomic::{AtomicBool, Ordering};

/// What is kept of one component.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What it was last: a status is left at another score than it is entered at.
    pub(super) status: Option<Status>,
    pub(super) watch: Watch,
    pub(super) outlook: Option<Arc<Outlook>>,
}

/// What is kept of all of them, by name.
pub(super) type KeptOfAll = BTreeMap<Arc<str>, Kept>;

/// The task that looks when nobody asks.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    running: Arc<AtomicBool>,
}

impl Rounds {
    /// Sees to it that the task runs, if there is a runtime to run it.
    ///
    /// Without one, whoever asks for a snapshot does what is due.
    pub(super) fn keep(&self, inner: &Arc<Inner>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Running(Arc::clone(&self.running));
        runtime.spawn(look(Arc::downgrade(inner), running));
    }
}

/// Says so when the task ends, also by the end of its runtime: another may begin then.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn look(inner: Weak<Inner>, running: Running) {
    let _running = running;
    loop {
        let Some(pause) = inner.upgrade().map(|inner| inner.settings().round) else { return };
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.round();
    }
}
