//! The version of the format in Redis, and the cost of a page.

use std::sync::Arc;
use std::time::Duration;

use campanile::FailureKind;
use campanile::store::{Claim, Fingerprint, LetterFilter, Owner, RedisStore, Store};

use crate::long::times;
use crate::store_checks::{WIDE, entry, now, put_many, queue};
use crate::support::redis::Redis;

async fn open(redis: &Redis) -> RedisStore {
    RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(20)).open().await.unwrap()
}

/// The key of a queue whose name needs no escaping.
fn key(queue: &str, part: &str) -> String {
    format!("{{campanile:{queue}}}:{part}")
}

async fn sizes(store: &dyn Store, queue: &str, limit: usize) -> Vec<(u64, u64)> {
    let groups = store.groups(queue, &LetterFilter::all().limit(limit)).await.unwrap();
    groups.iter().map(|group| (group.fingerprint.to_bits(), group.letters)).collect()
}

#[tokio::test]
async fn the_error_for_a_later_format_names_both_versions() {
    let redis = Redis::start().await;
    let (store, queue) = (open(&redis).await, queue("later"));
    put_many(&store, &queue, 2, |_, _| {}).await;
    assert_eq!(redis.cli(&["GET", &key(&queue, "format")]).trim(), "2");
    redis.cli(&["SET", &key(&queue, "format"), "9"]);
    let error = store.put(entry(&queue), WIDE).await.unwrap_err();
    let message = error.to_string();
    assert!(error.is_newer_schema(), "{message}");
    for part in ["format 9", "up to 2", "update campanile"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(store.list(&queue, &LetterFilter::all()).await.unwrap_err().is_newer_schema());
    redis.cli(&["SET", &key(&queue, "format"), "2"]);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap().len(), 2, "nothing was changed");
}

#[tokio::test]
async fn a_queue_of_the_first_format_is_migrated() {
    let redis = Redis::start().await;
    let (store, queue) = (open(&redis).await, queue("first"));
    let fingerprint = |number: usize| Fingerprint::from_bits([1, 2, 2, 3, 3, 3][number]);
    put_many(&store, &queue, 6, |number, entry| entry.fingerprint = fingerprint(number)).await;
    let largest = [(3, 3), (2, 2), (1, 1)];
    redis.cli(&["DEL", &key(&queue, "format"), &key(&queue, "sizes")]);
    assert_eq!(sizes(&store, &queue, 2).await, largest[..2]);
    assert_eq!(redis.cli(&["GET", &key(&queue, "format")]).trim(), "2");
    // A program that knows only the first format does not update the sizes.
    redis.cli(&["ZREM", &key(&queue, "sizes"), "0000000000000003"]);
    assert_eq!(sizes(&store, &queue, 10).await, largest);
}

/// The number of commands that Redis runs for each page of a queue with this number of letters and fingerprints.
async fn commands(letters: usize) -> Vec<(&'static str, u64)> {
    let redis = Redis::start_with(&[]).await;
    let (store, queue) = (open(&redis).await, queue("pages"));
    let store = Arc::new(store);
    let parts: Vec<_> = (0..8)
        .map(|part| {
            let (store, queue) = (Arc::clone(&store), Arc::clone(&queue));
            tokio::spawn(async move {
                put_many(&*store, &queue, letters / 8, |number, entry| {
                    let number = number * 8 + part;
                    entry.fingerprint = Fingerprint::from_bits(number as u64);
                    if part < 4 {
                        entry.component = "mails".into();
                    }
                    entry.due = (part == 4).then(|| entry.last_failed + Duration::from_secs(3_600));
                    entry.set_aside = part == 5;
                })
                .await;
            })
        })
        .collect();
    for part in parts {
        part.await.unwrap();
    }
    let page = LetterFilter::all().limit(16);
    let orders = page.clone().component("payments");
    let mut all = Vec::new();
    for (what, filter) in [
        ("all", &page),
        ("component", &orders),
        ("kind", &page.clone().kind(FailureKind::Error)),
        ("set aside", &page.clone().set_aside(true)),
    ] {
        redis.cli(&["CONFIG", "RESETSTAT"]);
        let claim = Claim {
            owner: Owner::new(),
            now: now(),
            lease: Duration::from_millis(1),
            due_by: Some(now()),
            bytes: u64::MAX,
        };
        assert_eq!(store.claim(&queue, filter, claim).await.unwrap().len(), 16);
        assert_eq!(store.list(&queue, filter).await.unwrap().len(), 16);
        all.push((what, calls(&redis)));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    redis.cli(&["CONFIG", "RESETSTAT"]);
    assert_eq!(store.groups(&queue, &page).await.unwrap().len(), 16);
    all.push(("groups", calls(&redis)));
    all
}

fn calls(redis: &Redis) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls =
        stats.lines().filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

#[tokio::test]
async fn the_cost_of_a_page_depends_on_its_length_only() {
    let (few, many) = (commands(800).await, commands(times(8_000, 100_000) as usize).await);
    println!("{few:?}\n{many:?}");
    for ((what, few), (_, many)) in few.iter().zip(&many) {
        assert!(*many <= few + few / 10 + 10, "{what}: {few} and {many} commands");
    }
}
