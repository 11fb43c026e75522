//! A pool of connections that read, so that a caller that lists a million letters does not block others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{errors, open};
use crate::base::sync::Mutex;
use crate::store::StoreError;

/// The maximum number of concurrent reads.
const READERS: u32 = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: Arc<Path>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: Arc<Path>, first: Connection) -> Self {
        let permits = Arc::new(Semaphore::new(READERS as usize));
        Self { path, idle: Mutex::new(vec![first]), permits }
    }

    /// A permit to read; `None` after the pool was closed.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Closes all connections. No other is opened until the returned permit is dropped. `None` if a read takes longer
    /// than `timeout`.
    pub(super) fn close(&self, runtime: &Runtime, timeout: Duration) -> Option<OwnedSemaphorePermit> {
        let all = Arc::clone(&self.permits).acquire_many_owned(READERS);
        let all = runtime.block_on(async { tokio::time::timeout(timeout, all).await }).ok()?.ok()?;
        self.close_idle();
        Some(all)
    }

    /// Closes the connections that are not in use.
    pub(super) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Reads from one snapshot of the file. Blocks the thread.
    pub(super) fn read<T>(
        &self,
        _permit: OwnedSemaphorePermit,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let result = connection.unchecked_transaction().and_then(|snapshot| read(&snapshot));
        self.idle.lock().push(connection);
        result.map_err(|error| errors::explain(&self.path, "read", error))
    }
}
