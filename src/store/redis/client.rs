//! The state of a store that all its handles share, and the running of scripts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connection::SharedConnection;
use super::keys;
use super::repair_state::Repairs;
use super::rows::{self, QueueState, depth};
use super::scripts::{Call, Script};
use super::settings::RedisSettings;
use super::target::Target;
use crate::base::sync::Mutex;
use crate::store::clock::Reading;
use crate::store::{Depth, StoreError};

/// The age at which the known depth of a queue is asked for again.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Runs scripts on Redis. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: SharedConnection,
    depths: Mutex<BTreeMap<Arc<str>, KnownDepth>>,
    /// The runtime of the last call. [`Client::runtime`] uses it when metrics are collected outside of any runtime.
    runtime: Mutex<Option<Handle>>,
    repairs: Repairs,
}

#[derive(Clone, Copy, Debug)]
struct KnownDepth {
    depth: Depth,
    /// When Redis answered, or was asked last.
    at: Instant,
}

impl Client {
    pub(super) fn new(target: Target, settings: &RedisSettings) -> Self {
        let connection = SharedConnection::new(target, settings.response_timeout, settings.wait_for_replicas);
        let repairs = Repairs::new(settings.response_timeout);
        let (depths, runtime) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { connection, depths, runtime, repairs }) }
    }

    /// The hosts and ports of Redis, for messages.
    pub(super) fn address(&self) -> &str {
        self.shared.connection.address()
    }

    pub(super) fn repairs(&self) -> &Repairs {
        &self.shared.repairs
    }

    /// Connects now, to report at once what is wrong.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        self.shared.connection.connect().await
    }

    /// Reads the clock of Redis.
    pub(super) async fn reading(&self) -> Result<Reading, StoreError> {
        self.shared.connection.reading().await
    }

    /// Runs a script on a queue and remembers the depth of the queue. Returns the inconsistency that the script found,
    /// or an empty string, and the rest of the answer.
    pub(super) async fn run_unrepaired(
        &self,
        script: &'static Script,
        queue: &str,
        more_keys: Vec<String>,
        args: Vec<Vec<u8>>,
    ) -> Result<(String, redis::Value), StoreError> {
        *self.shared.runtime.lock() = Handle::try_current().ok();
        let mut keys = keys::of(queue);
        keys.extend(more_keys);
        let answer = self.shared.connection.run(&Call { script, keys, args }).await?;
        let mut answer: Vec<redis::Value> = rows::read(answer)?;
        let rest = answer.split_off(answer.len().min(1));
        let (waiting, bytes, oldest, inconsistency): QueueState =
            rows::read(answer.pop().unwrap_or(redis::Value::Nil))?;
        self.remember(queue, depth((waiting, bytes, &oldest)));
        Ok((inconsistency, redis::Value::Array(rest)))
    }

    fn remember(&self, queue: &str, depth: Depth) {
        let known = KnownDepth { depth, at: Instant::now() };
        let mut depths = self.shared.depths.lock();
        match depths.get_mut(queue) {
            Some(place) => *place = known,
            None => drop(depths.insert(queue.into(), known)),
        }
    }

    /// The known depth of a queue, and whether it is too old. The next call then has to wait for [`MAX_AGE`] again.
    pub(super) fn known_depth(&self, queue: &str) -> (Depth, bool) {
        let now = Instant::now();
        let mut depths = self.shared.depths.lock();
        let (depth, is_stale) = match depths.get_mut(queue) {
            Some(known) => {
                let is_stale = now.duration_since(known.at) >= MAX_AGE;
                if is_stale {
                    known.at = now;
                }
                (known.depth, is_stale)
            }
            None => {
                let unknown = KnownDepth { depth: Depth::default(), at: now };
                depths.insert(queue.into(), unknown);
                (unknown.depth, true)
            }
        };
        (self.shared.repairs.add_to(queue, depth), is_stale)
    }

    /// A runtime to start a task in.
    pub(super) fn runtime(&self) -> Option<Handle> {
        self.shared.runtime.lock().clone().or_else(|| Handle::try_current().ok())
    }
}
