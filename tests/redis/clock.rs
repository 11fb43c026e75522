//! Processes with wrong or changing wall clocks share a Redis with a right clock.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::store::{RedisStore, Store};

use crate::clock_checks;
use crate::support::redis::Redis;
use crate::wall::Wall;

const URL: &str = "CAMPANILE_TEST_REDIS_AHEAD";

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

async fn open(url: &str) -> RedisStore {
    RedisStore::builder(url).response_timeout(Duration::from_secs(20)).open().await.unwrap()
}

#[test]
fn letters_in_redis_survive_a_step_of_the_wall_clock() {
    let Some(wall) = Wall::in_child("clock::letters_in_redis_survive_a_step_of_the_wall_clock") else {
        return;
    };
    run(async {
        // Redis runs with the right clock.
        let redis = Redis::start().await;
        clock_checks::all(&open(&redis.url()).await, &wall).await;
        wall.set(30 * 86_400);
        clock_checks::all(&open(&redis.url()).await, &wall).await;
    });
}

#[test]
fn a_redrive_from_redis_survives_a_step_of_the_wall_clock() {
    let Some(wall) = Wall::in_child("clock::a_redrive_from_redis_survives_a_step_of_the_wall_clock") else {
        return;
    };
    run(async {
        let redis = Redis::start().await;
        let store = open(&redis.url()).await;
        let open = |name: String| DeadLetterQueue::builder(name).on(store.clone()).unwrap();
        clock_checks::redrives(open, &wall).await;
    });
}

/// Not a separate test: parks three letters with a clock that is thirty days ahead.
#[test]
fn ahead() {
    let Ok(url) = std::env::var(URL) else { return };
    let Some(wall) = Wall::in_child("clock::ahead") else { return };
    wall.set(30 * 86_400);
    run(async {
        let queue = DeadLetterQueue::builder("orders").on(open(&url).await).unwrap();
        let service = tower::service_fn(|_: u32| async { Ok::<_, tower::BoxError>(()) });
        // The letters get a due time in an hour.
        let hour = Duration::from_secs(3_600);
        let running = queue.redrive_automatically(service, clock_checks::automatic(hour)).unwrap();
        for number in 0..3 {
            clock_checks::park(&queue, number).await;
        }
        drop(running);
    });
}

#[test]
fn letters_of_a_replica_whose_clock_is_ahead_are_sent_and_counted() {
    run(async {
        let redis = Redis::start().await;
        tokio::task::spawn_blocking({
            let url = redis.url();
            move || assert!(Wall::with("clock::ahead", &[(URL, &url)]).is_none())
        })
        .await
        .unwrap();
        let store = open(&redis.url()).await;
        let counted = store.frequencies("orders", Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(counted.iter().map(|one| one.failures).sum::<u64>(), 3);
        let group = &store.groups("orders", &campanile::store::LetterFilter::all()).await.unwrap()[0];
        let due = group.example.due.unwrap();
        let wait = due.duration_since(std::time::SystemTime::now()).unwrap();
        assert!(wait < Duration::from_secs(3_700), "due in {wait:?}");
        let queue = DeadLetterQueue::builder("orders").on(store).unwrap();
        clock_checks::redrives_letters_dated_ahead(&queue, 3).await;
    });
}
