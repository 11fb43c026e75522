//! A full disk can be emptied: letters are sent, purged and expire while none can be parked.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DropReason, LetterFilter, Redrive};
use tower::service_fn;

use crate::disk::{Disk, Way, fail_large, run_on_a_full_disk};
use crate::support::until;

/// A queue of letters of 20 kB each on a small disk that is full.
async fn full(disk: &Disk) -> DeadLetterQueue {
    let queue = disk.builder().sqlite(disk.small.join("letters.db")).await.unwrap();
    while queue.snapshot().dropped(DropReason::Store) == 0 {
        fail_large(&queue, 2).await;
    }
    disk.fill();
    fail_large(&queue, 2).await;
    assert!(queue.snapshot().parked > 20, "{:?}", queue.snapshot());
    assert_eq!(queue.len().await.unwrap(), queue.snapshot().parked);
    queue
}

/// Sends all letters and fails every second one. Returns the number of failures, recorded or not.
async fn send_half(queue: &DeadLetterQueue) -> u64 {
    let mut sent = 0;
    let half = service_fn(move |text: String| {
        sent += 1;
        std::future::ready(if sent % 2 == 0 { Ok(text) } else { Err("refused again") })
    });
    let redrive = Redrive::all().stop_after(1_000).stop_at_failure_rate(1.0, 1_000).set_aside_after(0);
    let before = queue.len().await.unwrap();
    let report = queue.redrive(half, redrive).await.unwrap();
    assert_eq!((report.matched, report.redriven), (before, before / 2), "{report:?}");
    let failed = before - before / 2;
    assert_eq!((report.failed, report.unrecorded, &report.stopped), (failed, 0, &None), "{report:?}");
    report.failed
}

pub(crate) async fn emptied(disk: &Disk) {
    let queue = full(disk).await;
    let failed = send_half(&queue).await;
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len() as u64, failed);
    for letter in &letters {
        assert_eq!((letter.redrives, letter.attempts.len()), (1, 2));
    }
    assert_eq!(queue.purge(LetterFilter::id(letters[0].id)).await.unwrap().purged, 1);
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, failed - 1);
    assert!(queue.is_empty().await.unwrap());
    assert_eq!(queue.purges().await.unwrap().len(), 2);
    // Removed letters free space for others.
    disk.clear();
    until("letters are parked again", async || {
        fail_large(&queue, 1).await;
        !queue.is_empty().await.unwrap()
    })
    .await;
}

/// A redrive that runs while the disk becomes full.
pub(crate) async fn sent_in_part(disk: &Disk) {
    let queue = disk.builder().expire_after(Duration::from_secs(3_600)).sqlite(disk.small.join("letters.db"));
    let queue = queue.await.unwrap();
    fail_large(&queue, 20).await;
    let mut sent = 0;
    let disk = &disk;
    let service = service_fn(move |_: String| {
        sent += 1;
        if sent == 5 {
            disk.fill();
        }
        std::future::ready(if sent % 2 == 0 { Ok(()) } else { Err("refused again") })
    });
    let redrive = Redrive::all().stop_after(1_000).stop_at_failure_rate(1.0, 1_000);
    let report = queue.redrive(service, redrive).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.unrecorded), (10, 10, 0), "{report:?}");
    assert_eq!(queue.len().await.unwrap(), 10);
}

/// A process that starts on a full disk.
pub(crate) async fn opened(disk: &Disk) {
    let queue = full(disk).await;
    let letters = queue.len().await.unwrap();
    drop(queue);
    // The log was removed with the last handle. Its space is filled too.
    disk.clear();
    disk.fill();
    let queue = disk.builder().sqlite(disk.small.join("letters.db")).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), letters);
    let failed = send_half(&queue).await;
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, failed);
}

#[test]
fn p23_a_full_disk_can_be_emptied() {
    for scenario in ["emptied", "sent in part", "opened"] {
        let way = Way::best();
        if way.has_other_disk() {
            run_on_a_full_disk(way, scenario);
        } else {
            eprintln!("no disk of its own can be had here: `{scenario}` is left out");
        }
    }
}
