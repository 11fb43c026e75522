//! The store itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::client::Client;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store,
};

/// Keeps letters in Redis 7 or later, or in a Redis cluster, for services with many replicas. Any replica can redrive what
/// another one parked.
///
/// Cheap to clone. Clones share one connection and reconnect when it is lost. While Redis is down, every call fails within
/// the response timeout, and at once after a second. A [spill](crate::dead_letter::DeadLetterQueueBuilder::spill) then
/// keeps the letters.
///
/// # Durability
/// A letter counts as parked when Redis has answered. With `appendonly yes` and `appendfsync always` it is on disk by
/// then. With `everysec`, the usual setting, a crash of the Redis machine loses up to a second. A fail-over loses what the
/// new master had not received yet; [`RedisStoreBuilder::wait_for_replicas`](super::RedisStoreBuilder::wait_for_replicas)
/// makes that much less likely. Set `maxmemory-policy noeviction`, and give Redis memory for the limits of all queues, with
/// about 1.5 KiB for each letter in addition to its bytes. The store logs one warning for a server that may lose letters.
///
/// When the memory is full, letters are not parked ([`StoreError::is_disk_full`]). Redrives, purges and expiry go on;
/// recording their outcomes may take some memory beyond `maxmemory`.
///
/// When a key of a queue was deleted, evicted or overwritten by another program, the next call finds out, and a task
/// repairs the queue in many short scripts. A letter whose head is left is restored, with its body if it had one. A letter
/// that lost a part is set aside as unreadable and is never sent. [`Depth::lost`] counts what was lost, and a warning is
/// logged. A key of another type is not touched: every call fails with an error that names it
/// ([`StoreError::is_foreign`]) until the key is deleted.
///
/// # Format
/// All keys of a queue begin with `{campanile:` and its name. That is a hash tag: in a cluster, one node holds a queue.
/// There is a stream with one entry for each letter; hashes of metadata, heads and bodies; sorted sets to find letters by
/// id, component, kind, fingerprint, due time and expiry; a hash of groups and a sorted set of their sizes; a hash of
/// failures for each minute of a day; and a list of purges. Each change is one script, which runs as a whole or not at
/// all.
///
/// A redrive claims letters in the consumer group `redrive` of the stream, where every run is a consumer: `XPENDING` shows
/// which run holds which letter. A letter is free again after 30 days without renewal, by the clock of Redis. A shorter
/// lease is entered as if a part of the 30 days had passed, so that leases of any length end to the millisecond. A longer
/// lease is cut to 30 days.
///
/// Due times, ages, expiry and the minutes of failures use the clock of Redis, which the store reads with each new
/// connection, so that replicas with different clocks agree. [`WhenFull::DropOldest`](crate::store::WhenFull::DropOldest)
/// removes the letter that arrived first, by the order of the stream.
///
/// The key `format` holds the version of the format, which is 2. The first script updates a queue of an earlier format;
/// Redis makes no copy before. A queue of a later format is refused ([`StoreError::is_newer_schema`]).
///
/// # Permissions
/// The user needs the keys `~{campanile:*` and the commands `+eval +evalsha +exists +expireat +get +incrby +hdel +hexists +hget
/// +hgetall +hincrby +hlen +hmget +hscan +hset +hstrlen +lpush +lrange +lset +ltrim +set +xack +xadd +xclaim +xdel
/// +xgroup +xinfo +xlen +xpending +xrange +zadd +zcard +zcount +zlexcount +zrange +zrem`; `+wait` for replicas,
/// `+cluster` for a cluster, `+time` to use the clock of Redis, and `+info` and `+config|get` to warn of
/// a server that is too old or may lose letters. Without `+hlen` and `+xlen` the store works, but does not notice that a key
/// was lost.
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
///
/// [`StoreError::is_disk_full`]: crate::store::StoreError::is_disk_full
/// [`StoreError::is_foreign`]: crate::store::StoreError::is_foreign
/// [`StoreError::is_newer_schema`]: crate::store::StoreError::is_newer_schema
#[derive(Clone)]
pub struct RedisStore {
    pub(super) client: Client,
}

impl Store for RedisStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        Box::pin(self.client.put_entry(entry, limits))
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        Box::pin(async move {
            let name: Arc<str> = queue.into();
            let ask = || self.client.fetch(&name, "ids", vec![id.to_string()]);
            Ok(self.client.ask_repaired(queue, ask, |entries: &Vec<Entry>| !entries.is_empty()).await?.pop())
        })
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        Box::pin(self.client.ask_repaired(queue, move || self.client.list_entries(queue, filter), |_| false))
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        Box::pin(self.client.ask_repaired(queue, move || self.client.count_entries(queue, filter), |_| false))
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        Box::pin(self.client.ask_repaired(queue, move || self.client.list_groups(queue, filter), |_| false))
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        Box::pin(self.client.count_failures(queue, last))
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        let ask = move || self.client.claim_entries(queue, filter, claim);
        // The claimed letters are held and must be sent, so they must not be asked for twice.
        Box::pin(self.client.ask_repaired(queue, ask, |entries: &Vec<Entry>| !entries.is_empty()))
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        Box::pin(self.client.renew_leases(queue, ids, claim))
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        Box::pin(self.client.settle_all(queue, owner, settled))
    }

    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        Box::pin(self.client.purge_entries(queue, record))
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        Box::pin(self.client.list_purges(queue))
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        Box::pin(self.client.expire_entries(queue, now))
    }

    fn depth(&self, queue: &str) -> Depth {
        let (depth, is_stale) = self.client.known_depth(queue);
        if is_stale {
            self.client.refresh_depth(queue);
        }
        depth
    }

    fn attach(&self, queue: &str, _: Limits) {
        // The script also finds out whether a key was lost while no process used the queue.
        self.client.refresh_depth(queue);
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.client.address()).finish_non_exhaustive()
    }
}
