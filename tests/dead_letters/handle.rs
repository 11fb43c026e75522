//! The reports of a queue (groups, frequencies, purge records, metrics), and the letters that it removes by itself.

use std::time::Duration;

use campanile::dead_letter::{DropReason, LetterFilter};
use campanile::{DeadLetterQueue, FailureKind};
use tower::{Layer, ServiceExt, service_fn};
use tracing::Level;

use crate::support::{LogLines, Mood, MoodyStore, Order, assert_accounted, fail, order, waiting};

const HOUR: Duration = Duration::from_secs(3_600);

async fn time_out(queue: &DeadLetterQueue, number: u32) {
    let service = queue.layer().layer(service_fn(|_: Order| async {
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut))
    }));
    service.oneshot(order(number)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn each_group_has_a_cause_and_an_example() {
    let queue = DeadLetterQueue::builder("orders").component("payments").build().unwrap();
    for number in 1..=3 {
        fail(&queue, number).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    time_out(&queue, 9).await;

    let groups = queue.groups(LetterFilter::all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).collect::<Vec<_>>(), [3, 1]);
    let refused = &groups[0];
    assert_eq!((refused.example.component.as_str(), refused.example.kind), ("payments", FailureKind::Error));
    assert_eq!(refused.example.message, "order 3 refused", "the newest is the example");
    assert_eq!(
        (groups[1].example.kind, groups[1].example.error_type.as_str()),
        (FailureKind::Timeout, "io::TimedOut")
    );
    let apart = refused.last_seen.duration_since(refused.first_seen).unwrap();
    assert!(apart > Duration::from_millis(1_900) && apart < Duration::from_secs(3), "{apart:?}");

    let same = LetterFilter::all().fingerprint(refused.fingerprint);
    assert_eq!(queue.count(same.clone()).await.unwrap(), 3);
    assert_eq!(queue.groups(LetterFilter::all().limit(1)).await.unwrap().len(), 1);
    assert_eq!(queue.purge(same).await.unwrap().purged, 3);
    assert_eq!(waiting(&queue).await, [9]);
    assert_eq!(queue.groups(LetterFilter::all()).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn frequencies_count_recent_failures_whether_or_not_their_letters_wait() {
    let queue = DeadLetterQueue::in_memory(100);
    fail(&queue, 1).await;
    tokio::time::sleep(2 * HOUR).await;
    for number in 2..=4 {
        fail(&queue, number).await;
    }
    time_out(&queue, 9).await;
    queue.purge(LetterFilter::all()).await.unwrap();

    let counts = async |last| -> Vec<(FailureKind, u64)> {
        let all = queue.frequencies(last).await.unwrap();
        all.iter().map(|frequency| (frequency.kind, frequency.failures)).collect()
    };
    assert_eq!(counts(HOUR).await, [(FailureKind::Error, 3), (FailureKind::Timeout, 1)]);
    assert_eq!(counts(24 * HOUR).await, [(FailureKind::Error, 4), (FailureKind::Timeout, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_a_record() {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 1..=5 {
        fail(&queue, number).await;
    }
    assert_eq!(queue.purge_as("ada", LetterFilter::all().limit(2)).await.unwrap().purged, 2);
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, 3);
    let records = queue.purges().await.unwrap();
    assert_eq!(records.iter().map(|record| record.purged).collect::<Vec<_>>(), [3, 2]);
    assert!(records[0].by.contains(&std::process::id().to_string()), "{records:?}");
    assert_eq!((records[1].by.as_str(), &records[1].filter), ("ada", &LetterFilter::all().limit(2)));
    assert!(records[0].at >= records[1].at);
    assert_eq!(queue.snapshot().purged, 5);
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_purge_shows_the_conditions_that_are_set() {
    let lines = LogLines::at(Level::INFO);
    let _guard = tracing::subscriber::set_default(lines.clone());
    let queue = DeadLetterQueue::in_memory(100);
    queue.purge_as("ada", LetterFilter::all().component("payments").limit(2)).await.unwrap();
    queue.purge_as("ada", LetterFilter::all()).await.unwrap();
    let logged = lines.lines();
    assert!(
        logged[0].contains(r#"by="ada" filter=LetterFilter { component: "payments", limit: 2 }"#),
        "{logged:?}"
    );
    assert!(logged[1].contains(r#"by="ada" filter=LetterFilter"#) && !logged[1].contains('{'), "{logged:?}");
}

#[tokio::test(start_paused = true)]
async fn expired_letters_are_removed_and_counted() {
    let queue = DeadLetterQueue::builder("orders").expire_after(Duration::from_secs(30)).build().unwrap();
    fail(&queue, 1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    fail(&queue, 2).await;
    assert_eq!(waiting(&queue).await, [1, 2]);
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(waiting(&queue).await, [2], "the queue removes it by itself");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(queue.is_empty().await.unwrap());
    assert_eq!((queue.snapshot().expired, queue.snapshot().evicted), (2, 0));
    // Removed letters still count as parked.
    assert_accounted(&queue, 2, 2, None);
}

#[test]
fn letters_expire_in_the_next_runtime_too() {
    let queue = DeadLetterQueue::builder("orders").expire_after(Duration::from_secs(30)).build().unwrap();
    let run = |number| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            fail(&queue, number).await;
            tokio::time::sleep(Duration::from_secs(34)).await;
            queue.snapshot().expired
        })
    };
    assert_eq!((run(1), run(2)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_letter_larger_than_the_queue_is_dropped_and_evicts_nothing() {
    use campanile::dead_letter::WhenFull;
    for when_full in [WhenFull::RefuseNew, WhenFull::DropOldest] {
        let queue = DeadLetterQueue::builder("q").max_bytes(65_536).when_full(when_full).build().unwrap();
        fail(&queue, 1).await;
        let service =
            queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("too large an order") }));
        let error = service.oneshot("x".repeat(70_000)).await.unwrap_err();
        assert_eq!(error.to_string(), "too large an order");
        assert_eq!(waiting(&queue).await, [1]);
        assert_accounted(&queue, 2, 1, Some((DropReason::Full, 1)));
        assert_eq!(queue.snapshot().evicted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_store_is_an_error() {
    let queue = DeadLetterQueue::builder("orders").on(MoodyStore::new(Mood::ReadsPanic)).unwrap();
    fail(&queue, 1).await;
    let error = queue.list(LetterFilter::all()).await.unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("on purpose"), "{error}");
    let error = queue.len().await.unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("on purpose"), "{error}");
    assert_accounted(&queue, 1, 1, None);
}
