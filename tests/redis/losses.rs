//! Keys of a queue are lost or overwritten by another program: letters are restored from what is left, lost letters are
//! counted, and calls work again after the repair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::store::{
    Claim, Entry, Fingerprint, LetterFilter, LetterId, Limits, Owner, PurgeRecord, Put, RedisStore, Settled,
    Store, WhenFull,
};
use tokio::time::{Instant, sleep};

use crate::store_checks::{self, WIDE, ids, now};
use crate::support::redis::Redis;

const HOUR: Duration = Duration::from_secs(3_600);

/// The keys of a queue, without those of purges and failures, which hold no letters.
const KEYS: [&str; 12] = [
    "ids", "meta", "heads", "bodies", "index", "due", "expiry", "groups", "bytes", "stream", "sizes",
    "format",
];

/// The version of the format.
const FORMAT: i64 = 2;

fn key(queue: &str, part: &str) -> String {
    format!("{{campanile:{queue}}}:{part}")
}

/// A server without persistence, and a store.
async fn open() -> (Redis, RedisStore) {
    let redis = Redis::start_with(&[]).await;
    let store =
        RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(10)).open().await.unwrap();
    (redis, store)
}

/// A letter with the fields that a repair reads from its head: a plain one, or one of HTTP with a body.
fn letter(queue: &Arc<str>, number: usize) -> Entry {
    let mut entry = store_checks::entry(queue);
    entry.component = ["payments", "mails"][number % 2].into();
    entry.kind = [FailureKind::Error, FailureKind::Timeout, FailureKind::Panic][number % 3];
    entry.fingerprint = Fingerprint::from_bits(100 + number as u64 % 4);
    entry.expires = (number % 3 == 1).then(|| now() + HOUR);
    entry.due = (number % 4 == 2).then(|| now() - HOUR);
    let payload = if number.is_multiple_of(2) { "value" } else { "http" };
    entry.body = if number.is_multiple_of(2) { Vec::new() } else { format!("body of {number}").into_bytes() };
    entry.head = head(&entry, payload);
    entry
}

fn head(entry: &Entry, payload: &str) -> Vec<u8> {
    let micros =
        |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64;
    let head = serde_json::json!({
        "component": &*entry.component,
        "kind": entry.kind,
        "fingerprint": entry.fingerprint,
        "first_failed": micros(entry.first_failed),
        "last_failed": micros(entry.last_failed),
        "due": entry.due.map(micros),
        "expires": entry.expires.map(micros),
        "set_aside": entry.set_aside,
        "payload": { payload: {} },
    });
    serde_json::to_vec(&head).unwrap()
}

fn claim_of(owner: Owner) -> Claim {
    Claim { owner, now: SystemTime::now(), lease: HOUR, due_by: None, bytes: u64::MAX }
}

/// The sizes of all keys. They are consistent if nothing is lost.
fn sizes(redis: &Redis, queue: &str) -> Vec<i64> {
    const SCRIPT: &str = "return {redis.call('ZCARD', KEYS[1]), redis.call('HLEN', KEYS[2]), \
        redis.call('HLEN', KEYS[3]), redis.call('HLEN', KEYS[4]), redis.call('ZCARD', KEYS[5]), \
        redis.call('ZCARD', KEYS[6]), redis.call('ZCARD', KEYS[7]), redis.call('HLEN', KEYS[8]), \
        tonumber(redis.call('GET', KEYS[9]) or 0) or -1, redis.call('XLEN', KEYS[10]), redis.call('ZCARD', KEYS[11]), \
        tonumber(redis.call('GET', KEYS[12]) or 0) or -1}";
    let keys: Vec<String> = KEYS.iter().map(|part| key(queue, part)).collect();
    let mut arguments = vec!["EVAL", SCRIPT, "12"];
    arguments.extend(keys.iter().map(String::as_str));
    redis.cli(&arguments).lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Calls the store, which repairs the queue, and checks it: all letters of `intact` are unchanged, every listed letter can
/// be claimed, and all sizes are consistent. Empties the queue.
async fn assert_repaired(
    redis: &Redis,
    store: &RedisStore,
    queue: &Arc<str>,
    intact: &BTreeMap<LetterId, Entry>,
    held: &BTreeSet<LetterId>,
    what: &str,
) {
    // Any of these calls may find the inconsistency.
    let one_more = letter(queue, 1);
    assert_eq!(store.put(one_more.clone(), WIDE).await.unwrap(), Put::Kept { evicted: 0 }, "{what}");
    let _ = store.groups(queue, &LetterFilter::all()).await;
    let _ = store.count(queue, &LetterFilter::all()).await;
    let _ = store.list(queue, &LetterFilter::all()).await;
    store.expire(queue, SystemTime::now()).await.unwrap();
    let listed = store.list(queue, &LetterFilter::all()).await.unwrap();
    let there: BTreeMap<LetterId, &Entry> = listed.iter().map(|entry| (entry.id, entry)).collect();
    assert_eq!(there.len(), listed.len(), "{what}: a letter is listed twice");
    assert_eq!(there.get(&one_more.id), Some(&&one_more), "{what}");
    for (id, entry) in intact {
        assert_eq!(there.get(id), Some(&entry), "{what}");
    }
    for entry in there.values().filter(|entry| entry.id != one_more.id && !intact.contains_key(&entry.id)) {
        assert!(entry.head.starts_with(b"lost: ") && entry.set_aside, "{what}: {entry:?}");
    }
    let numbers = sizes(redis, queue);
    let (letters, causes): (i64, BTreeSet<Fingerprint>) =
        (listed.len() as i64, listed.iter().map(|entry| entry.fingerprint).collect());
    let (bodies, expiring) = (
        listed.iter().filter(|entry| !entry.body.is_empty()).count() as i64,
        listed.iter().filter(|entry| entry.expires.is_some()).count() as i64,
    );
    let bytes: u64 = listed.iter().map(Entry::size).sum();
    let wanted = [
        letters,
        letters,
        letters,
        bodies,
        4 * letters,
        letters,
        expiring,
        causes.len() as i64,
        bytes as i64,
        letters,
        causes.len() as i64,
        FORMAT,
    ];
    assert_eq!(numbers, wanted, "{what}: {KEYS:?}");
    assert_eq!(store.count(queue, &LetterFilter::all()).await.unwrap(), listed.len() as u64, "{what}");
    assert_eq!(
        store.count(queue, &LetterFilter::all().limit(9).after(one_more.id)).await.unwrap(),
        0,
        "{what}"
    );
    let groups = store.groups(queue, &LetterFilter::all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), listed.len() as u64, "{what}");

    // Every listed letter can be claimed, unless another owner holds it.
    let owner = Owner::new();
    let mut claimed = BTreeSet::new();
    for aside in [false, true] {
        let filter = LetterFilter::all().set_aside(aside);
        claimed.extend(ids(&store.claim(queue, &filter, claim_of(owner)).await.unwrap()));
    }
    let mut free: BTreeSet<LetterId> = there.keys().copied().collect();
    free.retain(|id| !held.contains(id));
    assert_eq!(claimed, free, "{what}");
    let renewed =
        store.renew(queue, &claimed.iter().copied().collect::<Vec<_>>(), claim_of(owner)).await.unwrap();
    assert_eq!(renewed.len(), claimed.len(), "{what}");
    let again = Entry { head: b"another".to_vec(), last_failed: now(), ..one_more.clone() };
    assert_eq!(
        store.settle(queue, owner, vec![Settled::Failed(again.clone())]).await.unwrap(),
        [true],
        "{what}"
    );
    assert_eq!(store.get(queue, again.id).await.unwrap(), Some(again), "{what}");
    let delivered: Vec<_> = claimed.iter().copied().map(Settled::Delivered).collect();
    let settled = store.settle(queue, owner, delivered).await.unwrap();
    assert!(settled.iter().all(|done| *done), "{what}");
    let purged = store.purge(queue, PurgeRecord::new("test", LetterFilter::all())).await.unwrap().purged;
    assert_eq!(purged as usize, held.len(), "{what}");
    let empty: Vec<i64> = KEYS.iter().map(|key| if *key == "format" { FORMAT } else { 0 }).collect();
    assert_eq!(sizes(redis, queue), empty, "{what}: {KEYS:?}");
    assert_eq!(store.depth(queue).waiting, 0, "{what}");
}

/// Parks twelve letters and claims the first. Returns those that stay intact, and those that stay held, when the keys
/// `lost` are lost.
async fn parked(
    store: &RedisStore,
    queue: &Arc<str>,
    lost: &[&str],
) -> (BTreeMap<LetterId, Entry>, BTreeSet<LetterId>) {
    let mut intact = BTreeMap::new();
    for number in 0..12 {
        let entry = letter(queue, number);
        store_checks::put(store, &entry).await;
        intact.insert(entry.id, entry);
    }
    let held = store.claim(queue, &LetterFilter::all().limit(1), claim_of(Owner::new())).await.unwrap();
    let mut held: BTreeSet<LetterId> = ids(&held).into_iter().collect();
    if lost.contains(&"heads") {
        intact.clear();
    }
    if lost.contains(&"bodies") {
        intact.retain(|_, entry| entry.body.is_empty());
    }
    // Only the stream knows the owners. A letter without head and metadata is lost.
    if lost.contains(&"stream") || (lost.contains(&"heads") && lost.contains(&"meta")) {
        held.clear();
    }
    (intact, held)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lost_key_and_each_pair_is_repaired() {
    let (redis, store) = open().await;
    for (at, one) in KEYS.iter().enumerate() {
        for other in &KEYS[at..] {
            let lost = [*one, *other];
            let queue: Arc<str> = format!("{one}-{other}").into();
            let (intact, held) = parked(&store, &queue, &lost).await;
            redis.cli(&["DEL", &key(&queue, one), &key(&queue, other)]);
            assert_repaired(&redis, &store, &queue, &intact, &held, &queue).await;
            // All letters that are not intact are counted.
            let depth = store.depth(&queue);
            assert_eq!(depth.lost, 12 - intact.len() as u64, "{queue}");
            // A queue without a format is migrated by the first script, which also restores the sizes of groups.
            let by_a_script =
                lost.iter().all(|key| ["format", "sizes"].contains(key)) && lost.contains(&"format");
            assert!(depth.repairs >= 1 || by_a_script, "{queue}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_expires_or_is_evicted_is_repaired() {
    let (redis, store) = open().await;
    for part in KEYS {
        let queue: Arc<str> = format!("expired-{part}").into();
        let (intact, held) = parked(&store, &queue, &[part]).await;
        redis.cli(&["PEXPIRE", &key(&queue, part), "1"]);
        sleep(Duration::from_millis(5)).await;
        assert_repaired(&redis, &store, &queue, &intact, &held, &queue).await;
    }
    // An eviction: another program has set an expiry on the key, and the memory is full.
    let queue: Arc<str> = "evicted".into();
    let (intact, held) = parked(&store, &queue, &["meta"]).await;
    redis.cli(&["EXPIRE", &key(&queue, "meta"), "100000"]);
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let _ = store.put(letter(&queue, 0), WIDE).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(redis.cli(&["EXISTS", &key(&queue, "meta")]).trim(), "0");
    assert_repaired(&redis, &store, &queue, &intact, &held, &queue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_program_changed_is_repaired() {
    let (redis, store) = open().await;
    let garbage = "0190a000-0000-7000-8000-00000000000x";
    // The part, the command, and what is lost: the first letter (`ID`) or its lease (`held`).
    let cases: [(&str, &[&str], &str); 23] = [
        ("bytes", &["SET", "KEY", "many"], ""),
        ("bytes", &["SET", "KEY", "-5"], ""),
        ("bytes", &["SET", "KEY", "~x"], ""),
        ("meta", &["HSET", "KEY", "ID", "garbage"], ""),
        ("meta", &["HSET", "KEY", garbage, "garbage"], ""),
        ("meta", &["HDEL", "KEY", "ID"], ""),
        ("heads", &["HSET", "KEY", "nonsense", "garbage"], ""),
        ("heads", &["HDEL", "KEY", "ID"], "ID"),
        ("ids", &["ZADD", "KEY", "0", "nonsense"], ""),
        ("ids", &["ZREM", "KEY", "ID"], ""),
        ("index", &["ZADD", "KEY", "0", "f:nonsense", "0", "x", "0", "s:0:ID"], ""),
        ("due", &["ZADD", "KEY", "5", "nonsense"], ""),
        ("expiry", &["ZADD", "KEY", "5", garbage], ""),
        ("groups", &["HSET", "KEY", "nonsense", "garbage"], ""),
        ("groups", &["HSET", "KEY", "0000000000000064", "garbage"], ""),
        ("sizes", &["ZADD", "KEY", "-3", "nonsense"], ""),
        ("sizes", &["ZADD", "KEY", "-9", "0000000000000064"], ""),
        ("sizes", &["ZREM", "KEY", "0000000000000064"], ""),
        ("format", &["SET", "KEY", "many"], ""),
        ("format", &["SET", "KEY", "-1"], ""),
        ("format", &["SET", "KEY", "1"], ""),
        ("stream", &["XADD", "KEY", "*", "some", "thing"], ""),
        ("stream", &["XTRIM", "KEY", "MAXLEN", "2"], "held"),
    ];
    for (number, (part, command, loses)) in cases.into_iter().enumerate() {
        let queue: Arc<str> = format!("written-{number}").into();
        let (mut intact, mut held) = parked(&store, &queue, &[]).await;
        let first = *intact.keys().next().unwrap();
        let (at, id) = (key(&queue, part), first.to_string());
        let command: Vec<String> =
            command.iter().map(|word| word.replace("KEY", &at).replace("ID", &id)).collect();
        redis.cli(&command.iter().map(String::as_str).collect::<Vec<_>>());
        match loses {
            "ID" => drop(intact.remove(&first)),
            "held" => held.clear(),
            _ => {}
        }
        let what = format!("{command:?}");
        // These calls may find the inconsistency first, too.
        if number % 2 == 0 {
            let _ = store.groups(&queue, &LetterFilter::all()).await.unwrap();
        } else {
            let _ = store.renew(&queue, &[first], claim_of(Owner::new())).await.unwrap();
        }
        assert_repaired(&redis, &store, &queue, &intact, &held, &what).await;
    }
    // Another program replaces our consumer group by its own.
    let queue: Arc<str> = "groups".into();
    let (intact, _) = parked(&store, &queue, &[]).await;
    redis.cli(&["XGROUP", "DESTROY", &key(&queue, "stream"), "redrive"]);
    redis.cli(&["XGROUP", "CREATE", &key(&queue, "stream"), "another", "0"]);
    assert_repaired(&redis, &store, &queue, &intact, &BTreeSet::new(), "XGROUP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_was_delivered_while_a_key_was_lost_does_not_count_as_lost() {
    let (redis, store) = open().await;
    let queue: Arc<str> = "sent".into();
    let (mut intact, mut held) = parked(&store, &queue, &[]).await;
    let owner = Owner::new();
    let claimed = store.claim(&queue, &LetterFilter::all().limit(3), claim_of(owner)).await.unwrap();
    redis.cli(&["DEL", &key(&queue, "meta")]);
    let delivered = ids(&claimed).into_iter().map(Settled::Delivered).collect();
    assert_eq!(store.settle(&queue, owner, delivered).await.unwrap(), [true; 3]);
    for id in ids(&claimed) {
        intact.remove(&id);
        held.remove(&id);
    }
    assert_repaired(&redis, &store, &queue, &intact, &held, &queue).await;
    assert_eq!(store.depth(&queue).lost, 0);
}

#[tokio::test]
async fn a_key_of_another_type_is_named_and_not_changed() {
    let (redis, store) = open().await;
    for part in KEYS {
        let queue: Arc<str> = format!("foreign-{part}").into();
        let (intact, held) = parked(&store, &queue, &[part]).await;
        let at = key(&queue, part);
        redis.cli(&["DEL", &at]);
        redis.cli(&["LPUSH", &at, "theirs"]);
        let before = letter(&queue, 3);
        let owner = Owner::new();
        for error in [
            store.put(before.clone(), WIDE).await.err(),
            store.list(&queue, &LetterFilter::all()).await.err(),
            store.groups(&queue, &LetterFilter::all()).await.err(),
            store.count(&queue, &LetterFilter::all()).await.err(),
            store.claim(&queue, &LetterFilter::all(), claim_of(owner)).await.err(),
            store.settle(&queue, owner, vec![Settled::Delivered(before.id)]).await.err(),
            store.expire(&queue, SystemTime::now()).await.err(),
            store.purge(&queue, PurgeRecord::new("test", LetterFilter::all())).await.err(),
        ] {
            let error = error.expect("an error");
            assert!(error.is_foreign() && error.to_string().contains(&at), "{error}");
        }
        assert_eq!(redis.cli(&["LRANGE", &at, "0", "-1"]).trim(), "theirs");
        redis.cli(&["DEL", &at]);
        assert_repaired(&redis, &store, &queue, &intact, &held, &queue).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_letter_is_dropped_even_if_the_stream_is_lost() {
    let (redis, store) = open().await;
    let queue: Arc<str> = "drops".into();
    let (intact, _) = parked(&store, &queue, &[]).await;
    let stream = key(&queue, "stream");
    redis.cli(&["DEL", &stream]);
    redis.cli(&["XADD", &stream, "1-1", "letter", "theirs"]);
    let limits = Limits { capacity: 12, when_full: WhenFull::DropOldest, ..WIDE };
    let one_more = letter(&queue, 1);
    assert_eq!(store.put(one_more.clone(), limits).await.unwrap(), Put::Kept { evicted: 1 });
    let there = ids(&store.list(&queue, &LetterFilter::all()).await.unwrap());
    let wanted: Vec<LetterId> = intact.keys().skip(1).copied().chain([one_more.id]).collect();
    assert_eq!(there, wanted);
}

/// The queue has many pages of each part, and letters are added and removed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_queue_is_repaired_while_it_is_used() {
    let (redis, store) = open().await;
    let queue: Arc<str> = "large".into();
    let entries: Vec<Entry> = (0..2_000).map(|number| letter(&queue, number)).collect();
    for entry in &entries {
        store_checks::put(&store, entry).await;
    }
    let mut intact: BTreeMap<LetterId, Entry> =
        entries.iter().map(|entry| (entry.id, entry.clone())).collect();
    for lost in
        [&["meta", "bytes"][..], &["ids", "index", "groups"], &["stream", "due", "expiry"], &["sizes"]]
    {
        let mut arguments = vec!["DEL".to_owned()];
        arguments.extend(lost.iter().map(|part| key(&queue, part)));
        redis.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let repairs = store.depth(&queue).repairs;
        let began = Instant::now();
        let mut number = 0;
        while store.depth(&queue).repairs == repairs {
            assert!(began.elapsed() < Duration::from_secs(60), "{lost:?} is not repaired");
            number += 1;
            let entry = letter(&queue, number);
            store_checks::put(&store, &entry).await;
            if number % 3 == 0 {
                store.settle(&queue, Owner::new(), vec![Settled::Delivered(entry.id)]).await.unwrap();
            } else {
                intact.insert(entry.id, entry);
            }
        }
    }
    assert_repaired(&redis, &store, &queue, &intact, &BTreeSet::new(), "a large queue").await;
}

/// Random operations on a queue by a fixed seed, and a model of the queue.
struct Random {
    random: fastrand::Rng,
    queue: Arc<str>,
    owner: Owner,
    number: usize,
    /// Letters that lost nothing.
    intact: BTreeMap<LetterId, Entry>,
    claimed: BTreeSet<LetterId>,
}

impl Random {
    fn any(&mut self) -> Option<Entry> {
        let at = self.random.usize(..self.intact.len().max(1));
        self.intact.values().nth(at).cloned()
    }

    async fn step(&mut self, redis: &Redis, store: &RedisStore) {
        let queue = Arc::clone(&self.queue);
        match self.random.u32(..100) {
            0..40 => {
                self.number += 1;
                let entry = letter(&queue, self.number);
                store_checks::put(store, &entry).await;
                self.intact.insert(entry.id, entry);
            }
            40..55 => {
                let filter = LetterFilter::all().limit(self.random.usize(1..5));
                let claimed = store.claim(&queue, &filter, claim_of(self.owner)).await.unwrap();
                self.claimed.extend(ids(&claimed));
            }
            55..65 => {
                if let Some(entry) = self.any() {
                    store.settle(&queue, self.owner, vec![Settled::Delivered(entry.id)]).await.unwrap();
                    self.intact.remove(&entry.id);
                    self.claimed.remove(&entry.id);
                }
            }
            65..75 => {
                if let Some(entry) = self.any() {
                    let mut entry =
                        Entry { last_failed: now(), fingerprint: Fingerprint::from_bits(7), ..entry };
                    entry.head = head(&entry, if entry.body.is_empty() { "value" } else { "http" });
                    let settled = vec![Settled::Failed(entry.clone())];
                    // This fails if another owner holds the letter, or while it is not found.
                    if store.settle(&queue, self.owner, settled).await.unwrap() == [true] {
                        self.claimed.remove(&entry.id);
                        self.intact.insert(entry.id, entry);
                    }
                }
            }
            75..80 => {
                if let Some(entry) = self.any() {
                    let record = PurgeRecord::new("test", LetterFilter::id(entry.id));
                    if store.purge(&queue, record).await.unwrap().purged == 1 {
                        self.intact.remove(&entry.id);
                        self.claimed.remove(&entry.id);
                    }
                }
            }
            80..90 => {
                store.list(&queue, &LetterFilter::all()).await.unwrap();
            }
            _ => {
                let part = KEYS[self.random.usize(..KEYS.len())];
                redis.cli(&["DEL", &key(&queue, part)]);
                match part {
                    "heads" => self.intact.clear(),
                    "bodies" => self.intact.retain(|_, entry| entry.body.is_empty()),
                    _ => {}
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_agrees_with_a_model_when_keys_are_lost_at_random() {
    let (redis, store) = open().await;
    for seed in 0..crate::long::times(12, 400) as u64 {
        let mut run = Random {
            random: fastrand::Rng::with_seed(seed),
            queue: format!("random-{seed}").into(),
            owner: Owner::new(),
            number: 0,
            intact: BTreeMap::new(),
            claimed: BTreeSet::new(),
        };
        for _ in 0..60 {
            run.step(&redis, &store).await;
        }
        // Releases the letters that are still claimed.
        let released = run.claimed.iter().copied().map(Settled::Released).collect();
        store.settle(&run.queue, run.owner, released).await.unwrap();
        store.list(&run.queue, &LetterFilter::all()).await.unwrap();
        let released = run.claimed.iter().copied().map(Settled::Released).collect();
        store.settle(&run.queue, run.owner, released).await.unwrap();
        let what = format!("seed {seed}");
        assert_repaired(&redis, &store, &run.queue, &run.intact, &BTreeSet::new(), &what).await;
    }
}
