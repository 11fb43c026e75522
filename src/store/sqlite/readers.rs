//! Connections that read.
//!
//! One that lists a million letters must not keep the one waiting who asks for a single letter.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::open;
use crate::base::sync::Mutex;
use crate::store::StoreError;

/// The most that read at once.
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

    /// The right to read; none when there are no readers any more.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Closes all connections; none is opened until what this gives is dropped. Nothing when some read for longer than
    /// `patience`.
    pub(super) fn close(&self, runtime: &Runtime, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let all = Arc::clone(&self.permits).acquire_many_owned(READERS);
        let all = runtime.block_on(async { tokio::time::timeout(patience, all).await }).ok()?.ok()?;
        self.forget();
        Some(all)
    }

    /// Closes those that no one uses just now.
    pub(super) fn forget(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Reads, all of it from the same state of the file. It blocks.
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
        result.map_err(|error| open::explain(&self.path, "read", error))
    }
}
