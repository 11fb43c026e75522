//! Files that one process has open are moved, and letters are purged while others claim them.

use std::fs::rename;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Redrive};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::{BoxError, service_fn};

use crate::support::{Order, fail, open, waiting};

async fn fail_all(queue: &DeadLetterQueue, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        fail(queue, number).await;
    }
}

async fn two() -> (TempDir, [std::path::PathBuf; 2], [DeadLetterQueue; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("one.db"), folder.path().join("other.db")];
    let queues = [open(&paths[0]).await, open(&paths[1]).await];
    fail_all(&queues[0], 1..=3).await;
    fail_all(&queues[1], 11..=13).await;
    (folder, paths, queues)
}

#[tokio::test]
async fn p22_a_moved_file_is_used_at_its_new_path() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("letters.db"), folder.path().join("old.db"));
    let queue = open(&path).await;
    fail_all(&queue, 1..=3).await;
    rename(&path, &moved).unwrap();
    // The process that has it open has not checked yet.
    let old = open(&moved).await;
    assert_eq!(waiting(&old).await, [1, 2, 3]);
    fail(&queue, 4).await;
    fail(&old, 5).await;
    assert_eq!(waiting(&queue).await, [4]);
    assert_eq!(waiting(&old).await, [1, 2, 3, 5]);
    drop((queue, old));
    assert_eq!(waiting(&open(&path).await).await, [4]);
    assert_eq!(waiting(&open(&moved).await).await, [1, 2, 3, 5]);
}

#[tokio::test]
async fn p22_an_open_file_that_is_moved_over_another_has_one_writer() {
    let (_folder, [one, other], queues) = two().await;
    rename(&other, &one).unwrap();
    fail_all(&queues[0], 4..=6).await;
    fail_all(&queues[1], 14..=16).await;
    fail_all(&queues[0], 7..=9).await;
    let there = [&[11, 12, 13, 4, 5, 6, 7, 8, 9][..], &[14, 15, 16]];
    assert_eq!([waiting(&queues[0]).await, waiting(&queues[1]).await], there);
    drop(queues);
    assert_eq!([waiting(&open(&one).await).await, waiting(&open(&other).await).await], there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_two_open_files_that_are_swapped_lose_no_letter() {
    let (folder, [one, other], queues) = two().await;
    let aside = folder.path().join("aside.db");
    rename(&one, &aside).unwrap();
    rename(&other, &one).unwrap();
    rename(&aside, &other).unwrap();
    tokio::join!(fail_all(&queues[0], 14..=16), fail_all(&queues[1], 4..=6));
    let there = [&[11, 12, 13, 14, 15, 16][..], &[1, 2, 3, 4, 5, 6]];
    assert_eq!([waiting(&queues[0]).await, waiting(&queues[1]).await], there);
    drop(queues);
    assert_eq!([waiting(&open(&one).await).await, waiting(&open(&other).await).await], there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p25_a_redrive_ends_while_letters_are_purged() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder.path().join("letters.db")).await;
    let mut failing = JoinSet::new();
    for number in 0..2_000 {
        let queue = queue.clone();
        failing.spawn(async move { fail(&queue, number).await });
    }
    failing.join_all().await;
    let ids: Vec<_> = queue.list(LetterFilter::all()).await.unwrap().iter().map(|letter| letter.id).collect();
    let purging = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut purged = 0;
            for id in ids.into_iter().step_by(4) {
                purged += queue.purge(LetterFilter::id(id)).await.unwrap().purged;
            }
            purged
        }
    });
    let service = service_fn(|_: Order| async { Ok::<_, BoxError>(()) });
    let report = queue.redrive(service, Redrive::all().concurrency(8)).await.unwrap();
    let purged = purging.await.unwrap();
    assert!(queue.is_empty().await.unwrap(), "{report:?}, {purged} purged");
}
