//! Letters in Redis, for services of many replicas.
//!
//! Every replica parks into the same queue, and any of them sends again what another parked. Each change is one script,
//! which Redis runs whole or not at all, and which may run twice: an answer that was lost costs nothing but time.

mod connection;
mod keys;
mod pages;
#[cfg(feature = "telemetry")]
mod ping;
mod repair;
mod rows;
mod scripts;
mod search;
mod server;
mod settings;
mod target;

#[cfg(feature = "telemetry")]
pub(crate) use ping::{Ping, answered};
pub use settings::{RedisSettings, RedisStoreBuilder};

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::FromRedisValue;
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::connection::Link;
use self::repair::Repairs;
use self::rows::{Stands, depth};
use self::scripts::{Call, Script};
use self::target::Target;
use super::error::Kind;
use super::steady::Reading;
use super::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError,
};
use crate::base::sync::Mutex;

/// How old the depth of a queue may be before it is asked for again.
const FRESH: Duration = Duration::from_secs(5);

/// Keeps letters in Redis 7 or later, or in a cluster of it, for services of many replicas: any of them sends what
/// another parked.
///
/// Cheap to clone; clones share one connection, which is made anew when it is lost. While Redis is away, every call ends
/// within the response timeout, and soon at once: a [spill](crate::dead_letter::DeadLetterQueueBuilder::spill) keeps the letters then.
///
/// # What is safe
/// A letter is acknowledged when Redis has answered. With `appendonly yes` and `appendfsync always` it is on the disk of
/// Redis by then. With `everysec`, the usual setting, up to a second is lost when the machine of Redis crashes, and a
/// fail-over loses what the new master has not heard of; [`RedisStoreBuilder::wait_for_replicas`] makes that much less
/// likely. Give Redis memory for all that the limits of the queues allow, about 1.5 KiB for each letter beside its
/// bytes, and `maxmemory-policy noeviction`. The store warns once when it meets a server that forgets.
///
/// When the memory is full, no letter is parked ([`StoreError::is_disk_full`]), and all else works: letters are sent,
/// purged and expire, and what became of them is written down, although that may take some memory beyond `maxmemory`.
///
/// When a key of a queue was deleted, evicted or written by another program, the next call notices, and a task mends the
/// queue, some letters in each script: a letter whose head is left is found again, with its body if it had one. One of
/// which a part is lost is set aside as a letter that cannot be read; it is never sent. What was lost is counted in
/// [`Depth::lost`], and a warning to `tracing` tells of it. A key of another type is not touched: every call
/// fails with an error that names it ([`StoreError::is_foreign`]) until it is deleted.
///
/// # What Redis keeps
/// All keys of a queue begin with `{campanile:` and its name, which is a hash tag: in a cluster, a queue lies on one
/// node. There is a stream with an entry for each letter, hashes with what is known of it, its head and its body, sorted
/// sets to walk by id, component, kind and cause, by when a letter is due and when it expires, a hash of groups and a sorted set of their sizes, a hash
/// of failures for each minute of a day, and a list of purges. Each change is one script, which happens whole or not at
/// all.
///
/// Who sends a letter claims its entry in the stream's consumer group `redrive`, in which every run is a consumer:
/// `XPENDING` shows who holds what. An entry is free again after 30 days without a word of its holder, by the clock of
/// Redis. One that is claimed for less is entered as if some of that time had passed, so that leases of any length end
/// to the millisecond; a longer one is taken for 30 days.
///
/// When a letter is due, what age it is, when it expires and in which minute a failure counts is decided by the clock of
/// Redis too, which the store asks for with each new connection: replicas whose clocks are set, or differ, agree. A queue
/// that drops the oldest letter drops the one that came first, by the order of the stream.
///
/// The key `format` holds the version of the format, which is 2. A queue of an earlier one is brought to this one within
/// the first script; Redis has no copy to make before. One of a later one is refused: see
/// [`StoreError::is_newer_schema`].
///
/// # What its user needs
/// The keys `~{campanile:*` and the commands `+eval +evalsha +exists +expireat +get +incrby +hdel +hexists +hget
/// +hgetall +hincrby +hlen +hmget +hscan +hset +hstrlen +lpush +lrange +lset +ltrim +set +xack +xadd +xclaim +xdel
/// +xgroup +xinfo +xlen +xpending +xrange +zadd +zcard +zcount +zlexcount +zrange +zrem`; `+wait` for replicas,
/// `+cluster` for a cluster, `+time` for the store to go by the clock of Redis, and `+info` and `+config|get` for the
/// store to tell of a server that is too old or forgets. Without `+hlen` and `+xlen` the store works, but does not notice
/// that a key is lost.
///
/// # Example
/// ```no_run
/// use campanile::store::RedisStore;
/// use campanile::{DeadLetterQueue, TlsSettings};
///
/// # async fn example() -> Result<(), campanile::store::StoreError> {
/// let store = RedisStore::builder("rediss://letters:secret@redis.internal/")
///     .tls(TlsSettings::default().ca_file("/etc/ssl/internal.pem"))
///     .wait_for_replicas(1)
///     .open()
///     .await?;
/// let orders = DeadLetterQueue::builder("orders").on(store.clone())?;
/// let mails = DeadLetterQueue::builder("mails").on(store)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    depths: Mutex<BTreeMap<Arc<str>, Known>>,
    /// The runtime that was last used, for who asks how deep a queue is from outside of any.
    runtime: Mutex<Option<Handle>>,
    repairs: Repairs,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    depth: Depth,
    /// When it was told, or asked for.
    at: Instant,
}

impl RedisStore {
    /// Connects to the Redis at `url`: `redis://user:password@host:port/database`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// When the URL is none, Redis cannot be reached ([`StoreError::is_unreachable`]), lets nobody in
    /// ([`StoreError::is_denied`]), or is older than 7.0.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// A store to be set up.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    fn new(target: Target, settings: &RedisSettings) -> Self {
        let link = Link::new(target, settings.response_timeout, settings.wait_for_replicas);
        let repairs = Repairs::new(settings.response_timeout);
        Self {
            shared: Arc::new(Shared { link, depths: Mutex::default(), runtime: Mutex::default(), repairs }),
        }
    }

    /// Connects now, to say at once what is wrong.
    pub(crate) async fn connect(&self) -> Result<(), StoreError> {
        self.shared.link.connect().await
    }

    /// Reads the clock of Redis.
    async fn reading(&self) -> Result<Reading, StoreError> {
        self.shared.link.reading().await
    }

    /// Runs a script on a queue, remembers how that stands, and gives what else was answered.
    async fn run<T: FromRedisValue>(
        &self,
        script: &'static Script,
        queue: &str,
        more_keys: Vec<String>,
        args: Vec<Vec<u8>>,
    ) -> Result<T, StoreError> {
        let (torn, answer) = self.ask(script, queue, more_keys, args).await?;
        if !torn.is_empty() {
            self.mend(queue, torn);
        }
        rows::read(answer)
    }

    /// [`Self::run`], which gives what contradicts something else instead of having it mended.
    async fn ask(
        &self,
        script: &'static Script,
        queue: &str,
        more_keys: Vec<String>,
        args: Vec<Vec<u8>>,
    ) -> Result<(String, redis::Value), StoreError> {
        *self.shared.runtime.lock() = Handle::try_current().ok();
        let mut keys = keys::of(queue);
        keys.extend(more_keys);
        let answer = self.shared.link.run(&Call { script, keys, args }).await?;
        let mut answer: Vec<redis::Value> = rows::read(answer)?;
        let rest = answer.split_off(answer.len().min(1));
        let (waiting, bytes, oldest, torn): Stands = rows::read(answer.pop().unwrap_or(redis::Value::Nil))?;
        self.remember(queue, depth((waiting, bytes, &oldest)));
        Ok((torn, redis::Value::Array(rest)))
    }

    /// Asks once more where the queue was mended meanwhile: what was lost for the first answer is there by now.
    async fn whole<T, F>(
        &self,
        queue: &str,
        ask: impl Fn() -> F,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let before = self.shared.repairs.done(queue);
        let answer = ask().await;
        if answer.as_ref().is_ok_and(enough) {
            return answer;
        }
        let mended = self.shared.repairs.mended(queue, before).await;
        if !mended && answer.is_ok() && self.shared.repairs.is_running(queue) {
            let message = format!(
                "Redis lost a key of queue `{queue}`, and what is left is being put in order; ask again in some seconds"
            );
            return Err(StoreError::new(Kind::TimedOut, message));
        }
        if mended { ask().await } else { answer }
    }

    fn remember(&self, queue: &str, depth: Depth) {
        let known = Known { depth, at: Instant::now() };
        let mut depths = self.shared.depths.lock();
        match depths.get_mut(queue) {
            Some(place) => *place = known,
            None => drop(depths.insert(queue.into(), known)),
        }
    }

    /// Asks how a queue stands, for the next one who wants to know.
    fn refresh(&self, queue: &str) {
        let Some(runtime) = self.shared.runtime.lock().clone().or_else(|| Handle::try_current().ok()) else {
            return;
        };
        let (store, queue): (_, Arc<str>) = (self.clone(), queue.into());
        runtime.spawn(async move {
            // Where it fails, what was known last stays, until somebody asks after a while.
            let _: Result<Vec<redis::Value>, _> =
                store.run(&scripts::DEPTH, &queue, Vec::new(), Vec::new()).await;
        });
    }
}

impl Store for RedisStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(self.put_entry(entry, limits))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move {
            let name: Arc<str> = queue.into();
            let ask = || self.fetch(&name, "ids", vec![id.to_string()]);
            Ok(self.whole(queue, ask, |entries: &Vec<Entry>| !entries.is_empty()).await?.pop())
        })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        Box::pin(self.whole(queue, move || self.list_entries(queue, filter), |_| false))
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        Box::pin(self.whole(queue, move || self.count_entries(queue, filter), |_| false))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        Box::pin(self.whole(queue, move || self.list_groups(queue, filter), |_| false))
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        Box::pin(self.count_failures(queue, last))
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let ask = move || self.claim_entries(queue, filter, claim);
        // What was claimed is held, and shall be sent.
        Box::pin(self.whole(queue, ask, |entries: &Vec<Entry>| !entries.is_empty()))
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        Box::pin(self.renew_leases(queue, ids, claim))
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        Box::pin(self.settle_all(queue, owner, settled))
    }

    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        Box::pin(self.purge_entries(queue, record))
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        Box::pin(self.list_purges(queue))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        Box::pin(self.expire_entries(queue, now))
    }

    fn depth(&self, queue: &str) -> Depth {
        let now = Instant::now();
        let (known, stale) = {
            let mut depths = self.shared.depths.lock();
            match depths.get_mut(queue) {
                Some(known) => {
                    let stale = now.duration_since(known.at) >= FRESH;
                    if stale {
                        known.at = now;
                    }
                    (known.depth, stale)
                }
                None => {
                    let nothing = Known { depth: Depth::default(), at: now };
                    depths.insert(queue.into(), nothing);
                    (nothing.depth, true)
                }
            }
        };
        if stale {
            self.refresh(queue);
        }
        self.shared.repairs.count_in(queue, known)
    }

    fn attach(&self, queue: &str, _: Limits) {
        // What it may have lost while no process used it is noticed now.
        self.refresh(queue);
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.shared.link.address()).finish_non_exhaustive()
    }
}
