//! Properties 23 and 25 on a file: several redrives, each with its own store, as in several processes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::Redrive;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::{BoxError, service_fn};

use crate::support::{Order, fail, open};

async fn fill(queue: &DeadLetterQueue, numbers: std::ops::RangeInclusive<u32>) {
    let mut parking = JoinSet::new();
    for number in numbers {
        let queue = queue.clone();
        parking.spawn(async move { fail(&queue, number).await });
        if parking.len() >= 2_000 {
            parking.join_next().await;
        }
    }
    parking.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p25_redrives_of_one_file_send_no_letter_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    fill(&queue, 1..=1_500).await;
    let sent = Arc::new(Mutex::new(BTreeMap::new()));
    // None continues before each has its first page.
    let all_begun = Arc::new(Barrier::new(3));
    let mut runs = JoinSet::new();
    for _ in 0..3 {
        let (queue, sent, all_begun) = (open(&path).await, Arc::clone(&sent), Arc::clone(&all_begun));
        let first = Arc::new(AtomicBool::new(true));
        let service = service_fn(move |order: Order| {
            *sent.lock().unwrap().entry(order.number).or_insert(0_u32) += 1;
            let (first, all_begun) = (first.swap(false, Ordering::SeqCst), Arc::clone(&all_begun));
            async move {
                if first {
                    all_begun.wait().await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, BoxError>(())
            }
        });
        runs.spawn(async move { queue.redrive(service, Redrive::all()).await.unwrap() });
    }
    let reports = runs.join_all().await;
    assert_eq!(reports.iter().map(|report| report.redriven).sum::<u64>(), 1_500);
    assert!(reports.iter().all(|report| report.redriven > 0), "{reports:?}");
    let sent = sent.lock().unwrap().clone();
    assert!((1..=1_500).all(|number| sent.get(&number) == Some(&1)), "{sent:?}");
    assert!(queue.is_empty().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p23_cancelled_runs_lose_no_letter_and_keep_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    fill(&queue, 1..=300).await;
    let delivered = Arc::new(Mutex::new(BTreeMap::new()));
    let service = service_fn({
        let delivered = Arc::clone(&delivered);
        move |order: Order| {
            let delivered = Arc::clone(&delivered);
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if order.number == 300 {
                    return Err(BoxError::from("again"));
                }
                *delivered.lock().unwrap().entry(order.number).or_insert(0_u32) += 1;
                Ok(())
            }
        }
    });
    let mut cut = Duration::from_millis(5);
    while queue.len().await.unwrap() > 1 {
        let other = open(&path).await;
        let run = other.redrive(service.clone(), Redrive::all().concurrency(8).set_aside_after(0));
        let _ = tokio::time::timeout(cut, run).await;
        cut += Duration::from_millis(15);
    }
    assert_eq!(delivered.lock().unwrap().len(), 299);
    let letter = queue.list(campanile::dead_letter::LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!(letter.tries as usize, letter.attempts.len());
    assert_eq!(
        (letter.attempts[0].message.as_str(), letter.redrives),
        ("order 300 refused", letter.tries - 1)
    );
}
