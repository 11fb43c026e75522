//! Properties 20, 23 and 25: many processes on one Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::store::{Claim, Owner, RedisStore, Settled, Store};
use tower::{BoxError, service_fn};

use crate::orders::{Order, Process, fail, queue, say, store, waiting};
use crate::store_checks::{entry, ids, put_many};
use crate::support::redis::Redis;

const URL: &str = "CAMPANILE_TEST_REDIS_FLOW";
/// Set for the process that hangs on every tenth letter.
const HANGS: &str = "CAMPANILE_TEST_REDIS_HANGS";
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn p20_p23_letters_that_one_process_parks_another_lists_and_sends() {
    let redis = Redis::start().await;
    let parking = queue(&redis.url()).await;
    for number in 1..=20 {
        assert_eq!(fail(&parking, number).await.to_string(), format!("order {number} refused"));
    }
    let snapshot = parking.snapshot();
    assert_eq!((snapshot.failures, snapshot.parked, snapshot.waiting), (20, 20, 20));

    let sending = DeadLetterQueue::redis(redis.url(), "orders").await.unwrap();
    assert_eq!(waiting(&sending).await, (1..=20).collect::<Vec<_>>());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&sent);
    let service = service_fn(move |order: Order| {
        let odd = order.number % 2 == 1;
        notes.lock().unwrap().push(order.number);
        async move { if odd { Ok(()) } else { Err(BoxError::from("even")) } }
    });
    let report = sending.redrive(service.clone(), Redrive::all().stop_after(100)).await.unwrap();
    assert_eq!((report.matched, report.redriven, report.failed), (20, 10, 10));
    assert_eq!(*sent.lock().unwrap(), (1..=20).collect::<Vec<_>>());
    assert_eq!(waiting(&parking).await, (1..=20).step_by(2).map(|n| n + 1).collect::<Vec<_>>());
    let groups = parking.groups(LetterFilter::all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), 10);
    assert_eq!(parking.purge(LetterFilter::all()).await.unwrap().purged, 10);
    assert!(sending.is_empty().await.unwrap());
}

/// Consumers that hold no letter are removed, so that operators can read the list.
#[tokio::test]
async fn the_pending_list_shows_which_owner_holds_which_letter() {
    let redis = Redis::start().await;
    let store = store(&redis.url()).await;
    let queue: Arc<str> = "orders".into();
    let entries = put_many(&store, &queue, 3, |_, _| {}).await;
    let claim = |owner, lease| Claim { owner, now: SystemTime::now(), lease, due_by: None, bytes: u64::MAX };
    let (one, dead) = (Owner::new(), Owner::new());
    let stream = "{campanile:orders}:stream";
    store.claim(&queue, &LetterFilter::all().limit(1), claim(one, Duration::from_secs(60))).await.unwrap();
    store.claim(&queue, &LetterFilter::all().limit(1), claim(dead, Duration::from_millis(1))).await.unwrap();
    let pending = redis.cli(&["XPENDING", stream, "redrive"]);
    assert!(pending.contains(&one.to_string()) && pending.contains(&dead.to_string()), "{pending}");

    // Another owner claims the letter after the lease ends, and `expire` removes the dead consumer.
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(ids(&store
            .claim(&queue, &LetterFilter::all(), claim(one, Duration::from_secs(60)))
            .await
            .unwrap()));
    }
    store.expire(&queue, SystemTime::now()).await.unwrap();
    let consumers = redis.cli(&["XINFO", "CONSUMERS", stream, "redrive"]);
    assert!(consumers.contains(&one.to_string()) && !consumers.contains(&dead.to_string()), "{consumers}");

    let settled = ids(&entries).into_iter().map(Settled::Delivered).collect();
    assert_eq!(store.settle(&queue, one, settled).await.unwrap(), [true; 3]);
    assert_eq!(redis.cli(&["XINFO", "CONSUMERS", stream, "redrive"]).trim(), "");
    assert_eq!(redis.cli(&["XLEN", stream]).trim(), "0");
    // The remaining keys are failure counts, which expire, the version of the format, and empty ones.
    let left = redis.cli(&["--scan"]);
    for key in left.lines().filter(|key| key.contains(":failures:")) {
        assert!(redis.cli(&["TTL", key]).trim().parse::<i64>().unwrap() > 86_400);
    }
    let left: BTreeSet<&str> = left.lines().filter(|key| !key.contains(":failures:")).collect();
    assert_eq!(left, BTreeSet::from(["{campanile:orders}:bytes", "{campanile:orders}:format", stream]));
}

/// A lost answer makes a call run twice. Here each call is made twice.
#[tokio::test]
async fn a_call_that_runs_twice_has_the_effect_of_one() {
    let redis = Redis::start().await;
    let store = store(&redis.url()).await;
    let queue: Arc<str> = "orders".into();
    let owner = Owner::new();
    let parked = entry(&queue);
    crate::store_checks::put(&store, &parked).await;
    crate::store_checks::put(&store, &parked).await;
    assert_eq!(crate::store_checks::claim(&store, &queue, owner).await, [parked.id]);
    let failed = campanile::store::Entry { head: b"again".to_vec(), ..parked.clone() };
    for _ in 0..2 {
        let settled = vec![Settled::Failed(failed.clone())];
        assert_eq!(store.settle(&queue, owner, settled).await.unwrap(), [true]);
    }
    let frequencies = store.frequencies(&queue, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(frequencies[0].failures, 2, "parked once and failed once more");
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 1);
}

/// Not a separate test: a process that redrives until the queue is empty.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = queue(&url).await;
        let hangs = std::env::var_os(HANGS).is_some();
        let service = service_fn(|order: Order| async move {
            say(&format!("began {} {}", order.number, micros()));
            if hangs && order.number.is_multiple_of(10) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
            say(&format!("ended {} {}", order.number, micros()));
            Ok::<_, BoxError>(())
        });
        say("ready");
        // All processes begin at the same time, when their input ends.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        while !queue.is_empty().await.unwrap() {
            queue.redrive(service, Redrive::all().concurrency(4).lease(LEASE)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

fn hung(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("began") && words.next().is_some_and(|number| number.ends_with('0'))
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p23_p25_one_of_eight_redriving_processes_is_killed() {
    const LETTERS: u32 = 1_500;
    let redis = Redis::start().await;
    let queue = queue(&redis.url()).await;
    for number in 1..=LETTERS {
        fail(&queue, number).await;
    }
    let start = |hangs: &[(&str, &str)]| {
        let process = Process::start("flow::child", &[&[(URL, &*redis.url())], hangs].concat());
        assert_eq!(process.line().as_deref(), Some("ready"));
        process
    };
    let mut clients: Vec<Process> = (0..7).map(|_| start(&[])).collect();
    let mut victim = start(&[(HANGS, "1")]);
    // It delivers letters until it hangs on all four that it sends at a time.
    victim.go();
    let mut lines_of_victim: Vec<String> = Vec::new();
    while lines_of_victim.iter().filter(|line| hung(line)).count() < 4 {
        lines_of_victim.push(victim.line().expect("it hangs until it is killed"));
    }
    clients.iter_mut().for_each(Process::go);
    // It is killed while the others work.
    let first = clients[0].line().expect("there is work for it");
    lines_of_victim.extend(victim.kill());
    let killed = micros();
    let mut others: Vec<Vec<String>> = clients.into_iter().map(Process::end).collect();
    others[0].insert(0, first);

    // The times at which each letter was being sent, and by which process.
    let mut in_flight: BTreeMap<u32, Vec<(u64, u64, usize)>> = BTreeMap::new();
    let mut sent = BTreeSet::new();
    let mut cut = 0;
    for (client, lines) in others.iter().chain([&lines_of_victim]).enumerate() {
        let mut open = BTreeMap::new();
        for line in lines {
            let mut words = line.split(' ');
            let (Some(word), Some(number), Some(at)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let (number, at): (u32, u64) = (number.parse().unwrap(), at.parse().unwrap());
            if word == "began" {
                assert_eq!(open.insert(number, at), None);
            } else {
                sent.insert(number);
                in_flight.entry(number).or_default().push((open.remove(&number).unwrap(), at, client));
            }
        }
        assert!(client == 7 || open.is_empty());
        cut += open.len();
        for (number, at) in open {
            in_flight.entry(number).or_default().push((at, killed, client));
        }
    }
    assert_eq!(sent.len(), LETTERS as usize, "letters are lost");
    assert!(queue.is_empty().await.unwrap());
    assert!(cut > 0, "it was killed while it sent nothing");
    assert!(others.iter().filter(|lines| lines.len() > 100).count() >= 4, "most processes sent letters");
    for (number, mut times) in in_flight {
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "letter {number} was sent twice at the same time: {times:?}");
            // Only the killed process may have sent a letter without recording it.
            assert_eq!(pair[0].2, 7, "letter {number} was sent twice: {times:?}");
        }
    }
}

#[tokio::test]
async fn a_put_waits_for_replicas() {
    let redis = Redis::start().await;
    let port = redis.address().port().to_string();
    let store = RedisStore::builder(redis.url())
        .wait_for_replicas(1)
        .response_timeout(Duration::from_secs(2))
        .open()
        .await
        .unwrap();
    let queue: Arc<str> = "orders".into();
    let error = store.put(entry(&queue), crate::store_checks::WIDE).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("wait_for_replicas"), "{error}");

    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    replica.wait_for(&["INFO", "replication"], "master_link_status:up").await;
    let store = RedisStore::builder(redis.url())
        .wait_for_replicas(1)
        .response_timeout(Duration::from_secs(20))
        .open()
        .await
        .unwrap();
    for _ in 0..20 {
        let parked = entry(&queue);
        crate::store_checks::put(&store, &parked).await;
        let there = replica.cli(&["HEXISTS", "{campanile:orders}:meta", &parked.id.to_string()]);
        assert_eq!(there.trim(), "1");
    }
}
