//! Redis is stopped and started, or hangs, while letters are parked and redriven.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use campanile::DeadLetterQueue;
use campanile::store::{Claim, LetterFilter, LetterId, Owner, Put, RedisStore, Settled, Store};
use tokio::time::{Instant, sleep};

use crate::orders::{fail, queue, waiting};
use crate::store_checks::{WIDE, entry, ids};
use crate::support::redis::Redis;

/// The results of the parking and redriving tasks.
#[derive(Debug, Default)]
struct Load {
    ended: AtomicBool,
    parked: Mutex<BTreeSet<LetterId>>,
    delivered: Mutex<Vec<LetterId>>,
    refused: AtomicU64,
}

impl Load {
    fn parked(&self) -> usize {
        self.parked.lock().unwrap().len()
    }

    /// Waits until `letters` more letters are parked, which shows that Redis works.
    async fn more(&self, letters: usize) {
        let wanted = self.parked() + letters;
        let began = Instant::now();
        while self.parked() < wanted {
            assert!(began.elapsed() < Duration::from_secs(60), "no letter is parked any more");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Parks on many tasks and redrives on one, until `load.ended`.
fn work(store: &RedisStore, load: &Arc<Load>) -> Vec<tokio::task::JoinHandle<()>> {
    let queue: Arc<str> = "orders".into();
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (store, load, queue) = (store.clone(), Arc::clone(load), Arc::clone(&queue));
        tasks.push(tokio::spawn(async move {
            while !load.ended.load(Ordering::SeqCst) {
                let letter = entry(&queue);
                match store.put(letter.clone(), WIDE).await {
                    Ok(put) => {
                        assert_eq!(put, Put::Kept { evicted: 0 });
                        load.parked.lock().unwrap().insert(letter.id);
                    }
                    Err(error) => {
                        assert!(error.is_unreachable(), "{error}");
                        load.refused.fetch_add(1, Ordering::SeqCst);
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }));
    }
    let (store, load) = (store.clone(), Arc::clone(load));
    tasks.push(tokio::spawn(async move {
        let owner = Owner::new();
        while !load.ended.load(Ordering::SeqCst) {
            let now = SystemTime::now();
            let claim = Claim { owner, now, lease: Duration::from_secs(600), due_by: None, bytes: u64::MAX };
            let Ok(some) = store.claim(&queue, &LetterFilter::all().limit(5), claim).await else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            load.delivered.lock().unwrap().extend(ids(&some));
            let settled: Vec<_> = ids(&some).into_iter().map(Settled::Delivered).collect();
            while store.settle(&queue, owner, settled.clone()).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        }
    }));
    tasks
}

async fn assert_no_letter_lost(store: &RedisStore, load: &Load, tasks: Vec<tokio::task::JoinHandle<()>>) {
    load.ended.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let there = ids(&store.list("orders", &LetterFilter::all()).await.unwrap());
    assert!(there.is_sorted_by(|a, b| a < b), "in order and unique");
    let delivered = std::mem::take(&mut *load.delivered.lock().unwrap());
    let once: BTreeSet<LetterId> = delivered.iter().copied().collect();
    assert_eq!(once.len(), delivered.len(), "a letter was sent twice although no owner died");
    let there: BTreeSet<LetterId> = there.into_iter().collect();
    assert_eq!(once.intersection(&there).count(), 0, "a delivered letter is still there");
    let parked = std::mem::take(&mut *load.parked.lock().unwrap());
    let lost = parked.iter().filter(|id| !there.contains(id) && !once.contains(id)).count();
    assert_eq!(lost, 0, "acknowledged letters are lost");
    assert_eq!(store.count("orders", &LetterFilter::all()).await.unwrap(), there.len() as u64);
    assert!(!once.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_no_letter_is_lost_when_redis_is_stopped_and_started() {
    let mut redis = Redis::start().await;
    let store =
        RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(2)).open().await.unwrap();
    let load = Arc::new(Load::default());
    let tasks = work(&store, &load);
    for signal in ["TERM", "KILL", "TERM", "KILL"] {
        load.more(200).await;
        redis.stop(signal);
        sleep(Duration::from_millis(50)).await;
        redis.start_again().await;
    }
    load.more(200).await;
    assert_no_letter_lost(&store, &load, tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_no_letter_is_lost_when_redis_hangs() {
    let redis = Redis::start().await;
    let store =
        RedisStore::builder(redis.url()).response_timeout(Duration::from_millis(400)).open().await.unwrap();
    let load = Arc::new(Load::default());
    let tasks = work(&store, &load);
    for pause in [100, 700, 1_500] {
        load.more(200).await;
        redis.pause();
        sleep(Duration::from_millis(pause)).await;
        redis.resume();
    }
    load.more(200).await;
    // As in a fail-over.
    redis.cli(&["CLIENT", "PAUSE", "600", "WRITE"]);
    load.more(200).await;
    assert!(load.refused.load(Ordering::SeqCst) > 0, "no put failed meanwhile");
    assert_no_letter_lost(&store, &load, tasks).await;
}

#[tokio::test]
async fn while_redis_is_down_calls_end_in_time_and_soon_fail_at_once() {
    let mut redis = Redis::start().await;
    let store = RedisStore::open(redis.url()).await.unwrap();
    let queue: Arc<str> = "orders".into();
    crate::store_checks::put(&store, &entry(&queue)).await;
    for hangs in [true, false] {
        if hangs {
            redis.pause()
        } else {
            redis.stop("TERM")
        }
        let began = Instant::now();
        let mut longest = Duration::ZERO;
        let mut shortest = Duration::MAX;
        while began.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            let error = store.put(entry(&queue), WIDE).await.unwrap_err();
            assert!(error.is_unreachable(), "{error}");
            assert!(error.to_string().contains(&redis.address().to_string()), "{error}");
            longest = longest.max(asked.elapsed());
            shortest = shortest.min(asked.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        // The response timeout is 400 ms, and the machine may be busy.
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        assert!(shortest < Duration::from_millis(50), "{shortest:?}");
        assert_eq!(store.depth(&queue).waiting, 1, "the last known depth");
        if hangs {
            redis.resume()
        } else {
            redis.start_again().await
        }
        while store.put(entry(&queue), WIDE).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        let left = LetterFilter::all();
        let there = ids(&store.list(&queue, &left).await.unwrap());
        let settled = there[1..].iter().copied().map(Settled::Delivered).collect();
        store.settle(&queue, Owner::new(), settled).await.unwrap();
    }
}

#[tokio::test]
async fn the_depth_includes_changes_by_others() {
    let redis = Redis::start().await;
    let (one, other) = (queue(&redis.url()).await, queue(&redis.url()).await);
    fail(&one, 1).await;
    // The first snapshot starts a refresh.
    let began = Instant::now();
    while other.snapshot().waiting != 1 {
        assert!(began.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_letters_are_spilled_while_redis_is_down_and_drained_after() {
    let mut redis = Redis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().join("spill.db");
    let url = redis.url();
    let open = async || {
        let builder = DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(5));
        builder.spill(spill.as_path()).redis(&url).await.unwrap()
    };
    let queue = open().await;
    for number in 1..=5 {
        fail(&queue, number).await;
    }
    redis.stop("KILL");
    for number in 6..=40 {
        fail(&queue, number).await;
    }
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.parked, snapshot.dropped_total()), (40, 0));
    assert!(snapshot.spilled >= 35, "{snapshot:?}");
    // A service can start while Redis is down.
    drop(queue);
    let queue = open().await;
    fail(&queue, 41).await;
    redis.start_again().await;
    let watching = crate::orders::queue(&redis.url()).await;
    let began = Instant::now();
    while watching.len().await.unwrap() < 41 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", queue.snapshot());
        sleep(Duration::from_millis(50)).await;
    }
    let mut all = waiting(&watching).await;
    all.sort_unstable();
    assert_eq!(all, (1..=41).collect::<Vec<_>>());
    while queue.snapshot().spilled > 0 {
        sleep(Duration::from_millis(20)).await;
    }
}
