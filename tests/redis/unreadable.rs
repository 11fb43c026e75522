//! Letters in Redis that cannot be read.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Redrive, Unsendable};
use campanile::store::RedisStore;
use tower::{BoxError, service_fn};

use crate::support::redis::Redis;
use crate::unreadable_checks::{self, park};

async fn open(redis: &Redis) -> RedisStore {
    RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(10)).open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_letter_hides_no_other() {
    let redis = Redis::start().await;
    unreadable_checks::an_unreadable_letter_hides_no_other(&open(&redis).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_letters_are_set_aside_unchanged() {
    let redis = Redis::start().await;
    unreadable_checks::unreadable_letters_are_set_aside_unchanged(&open(&redis).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_hides_no_other() {
    let redis = Redis::start().await;
    let queue = DeadLetterQueue::builder("orders").on(open(&redis).await).unwrap();
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(park(&queue, number).await);
    }
    let key = |part: &str| format!("{{campanile:orders}}:{part}");
    let set = |part: &str, place: usize, value: &str| {
        assert_eq!(redis.cli(&["HSET", &key(part), &ids[place].to_string(), value]).trim(), "0");
    };
    set("heads", 0, "{");
    // With its true size, so that it does not count as damaged.
    let meta = redis.cli(&["HGET", &key("meta"), &ids[2].to_string()]);
    let size = meta.split('|').nth(8).unwrap();
    // The time is out of range.
    set("meta", 1, &format!("0-1|error|{:016x}|{}|1|||0|1|payments", 7, "9".repeat(40)));
    set("meta", 2, &format!("0-1|melted|{:016x}|1|1|||0|{size}|payments", 7));
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let why: Vec<_> = letters.iter().map(|letter| letter.unsendable).collect();
    assert_eq!(why, [Some(Unsendable::Unreadable), None, None, None]);
    queue.groups(LetterFilter::all()).await.unwrap();
    // The first one is set aside, and the metadata of the second one is restored from its head.
    assert_eq!(queue.groups(LetterFilter::all().set_aside(false)).await.unwrap().len(), 2);
    let report = queue
        .redrive(
            service_fn(|_: u32| async { Ok::<_, BoxError>(()) }),
            Redrive::only(LetterFilter::id(ids[3])),
        )
        .await
        .unwrap();
    assert_eq!(report.redriven, 1);
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, 3);
    assert!(queue.is_empty().await.unwrap());
}
