//! The memory of Redis is full and nothing is evicted: no letter is parked, and all other calls work.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::dead_letter::{DropReason, LetterFilter, Redrive};
use campanile::store::{Claim, Owner, PurgeRecord, Settled, Store};
use tower::service_fn;

use crate::orders::{self, Order, fail};
use crate::store_checks::{self, WIDE, entry, ids, now};
use crate::support::redis::Redis;

const DAY: Duration = Duration::from_secs(86_400);

/// A server that does not evict. [`fill`] makes its memory full, whatever is removed.
async fn start() -> Redis {
    Redis::start_with(&["--maxmemory-policy", "noeviction"]).await
}

fn fill(redis: &Redis) {
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
}

#[tokio::test]
async fn p23_a_full_redis_can_be_redriven() {
    let redis = start().await;
    let queue = orders::queue(&redis.url()).await;
    for number in 1..=60 {
        fail(&queue, number).await;
    }
    // No letter was claimed yet, so the first claim creates the consumer group.
    fill(&redis);
    fail(&queue, 61).await;
    assert_eq!(queue.snapshot().dropped(DropReason::Store), 1);

    let failing = service_fn(|order: Order| async move {
        if order.number.is_multiple_of(2) {
            Ok(())
        } else {
            Err(format!("order {} refused again", order.number))
        }
    });
    let patient = Redrive::all().stop_after(1_000).stop_at_failure_rate(1.0, 1_000).set_aside_after(3);
    let report = queue.redrive(failing, patient.clone()).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.unrecorded), (30, 30, 0), "{report:?}");
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 30);
    // The failures are recorded.
    for letter in &letters {
        assert_eq!((letter.redrives, letter.attempts.len()), (1, 2), "{letter:?}");
    }
    assert_eq!(queue.purge(LetterFilter::id(letters[0].id)).await.unwrap().purged, 1);
    let report = queue.redrive(service_fn(|_: Order| async { Ok::<_, String>(()) }), patient).await.unwrap();
    assert_eq!(report.redriven, 29);
    assert!(queue.is_empty().await.unwrap());
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    fail(&queue, 62).await;
    assert_eq!(orders::waiting(&queue).await, [62]);
}

#[tokio::test]
async fn p23_all_calls_but_put_work_on_a_full_redis() {
    let redis = start().await;
    let store = orders::store(&redis.url()).await;
    let queue: Arc<str> = "orders".into();
    let entries = store_checks::put_many(&store, &queue, 8, |number, entry| {
        entry.expires = (number == 7).then(|| now() - DAY);
    })
    .await;
    fill(&redis);
    let error = store.put(entry(&queue), WIDE).await.unwrap_err();
    assert!(error.is_disk_full() && error.to_string().contains("maxmemory"), "{error}");
    let owner = Owner::new();
    let claim = Claim { owner, now: SystemTime::now(), lease: DAY, due_by: None, bytes: u64::MAX };
    let claimed = ids(&store.claim(&queue, &LetterFilter::all(), claim).await.unwrap());
    assert_eq!(claimed, ids(&entries[..7]));
    assert_eq!(store.renew(&queue, &claimed, claim).await.unwrap(), claimed);
    let longer = campanile::store::Entry { head: vec![b'x'; 10_000], ..entries[0].clone() };
    let settled = vec![
        Settled::Failed(longer.clone()),
        Settled::Changed(entries[1].clone()),
        Settled::Released(claimed[2]),
        Settled::Delivered(claimed[3]),
    ];
    assert_eq!(store.settle(&queue, owner, settled).await.unwrap(), [true; 4]);
    assert_eq!(store.get(&queue, longer.id).await.unwrap(), Some(longer));
    assert_eq!(store.expire(&queue, SystemTime::now()).await.unwrap(), 1);
    assert_eq!(store.purges(&queue).await.unwrap(), []);
    let purged = store.purge(&queue, PurgeRecord::new("test", LetterFilter::all().limit(0))).await.unwrap();
    assert_eq!(purged.purged, 0, "only the record is written");
    let purged = store.purge(&queue, PurgeRecord::new("test", LetterFilter::all())).await.unwrap();
    assert_eq!(purged.purged, 6);
    assert_eq!(store.purges(&queue).await.unwrap().len(), 2);
    assert_eq!(store.depth(&queue).bytes, 0);
    assert!(store.put(entry(&queue), WIDE).await.unwrap_err().is_disk_full());
}

/// The former master has become a replica.
#[tokio::test]
async fn a_replica_refuses_also_scripts_that_may_run_when_the_memory_is_full() {
    let (redis, master) = (Redis::start_with(&[]).await, Redis::start_with(&[]).await);
    let store = campanile::store::RedisStore::open(redis.url()).await.unwrap();
    let queue: Arc<str> = "orders".into();
    store_checks::put(&store, &entry(&queue)).await;
    redis.cli(&["REPLICAOF", "127.0.0.1", &master.address().port().to_string()]);
    let claim =
        Claim { owner: Owner::new(), now: SystemTime::now(), lease: DAY, due_by: None, bytes: u64::MAX };
    let error = store.claim(&queue, &LetterFilter::all(), claim).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let error = store.put(entry(&queue), WIDE).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}
