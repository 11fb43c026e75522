//! Letters in a file: they survive the process, and errors name a bad file.

use std::path::Path;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DropReason, LetterFilter, Redrive, StoreError, WhenFull};
use campanile::store::SqliteStore;
use tempfile::TempDir;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::support::{Order, assert_accounted, bytes, fail, open, waiting};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn refused(path: &Path) -> StoreError {
    let error = DeadLetterQueue::sqlite(path).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

#[tokio::test]
async fn letters_survive_a_restart() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    for number in 1..=20 {
        fail(&queue, number).await;
    }
    fail(&queue.named("mails"), 99).await;
    let before = queue.list(LetterFilter::all()).await.unwrap();
    let snapshot = queue.snapshot();
    assert_eq!(snapshot.waiting, 20);
    drop(queue);

    let queue = open(&path).await;
    assert_eq!(queue.list(LetterFilter::all()).await.unwrap(), before);
    assert_eq!((queue.len().await.unwrap(), queue.snapshot().waiting), (20, 20));
    assert_eq!(queue.snapshot().oldest, snapshot.oldest);
    assert_eq!(waiting(&queue.named("mails")).await, [99]);
    assert_eq!(queue.get(before[3].id).await.unwrap().as_ref(), Some(&before[3]));
}

#[tokio::test]
async fn filters_mean_the_same_as_in_memory() {
    let folder = folder();
    let file = DeadLetterQueue::builder("q").sqlite(folder.path().join("letters.db")).await.unwrap();
    let memory = DeadLetterQueue::builder("q").build().unwrap();
    for queue in [&file, &memory] {
        for number in 1..=6 {
            fail(queue, number).await;
        }
        let timed_out = queue.layer().layer(service_fn(|_: Order| async {
            Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut))
        }));
        timed_out.oneshot(crate::support::order(7)).await.unwrap_err();
    }
    for queue in [&file, &memory] {
        let all = queue.list(LetterFilter::all()).await.unwrap();
        let count = async |filter: LetterFilter| queue.list(filter).await.unwrap().len();
        assert_eq!(count(LetterFilter::id(all[2].id)).await, 1);
        assert_eq!(count(LetterFilter::all().kind(campanile::FailureKind::Timeout)).await, 1);
        assert_eq!(count(LetterFilter::all().fingerprint(all[0].fingerprint)).await, 6);
        assert_eq!(count(LetterFilter::all().component("other")).await, 0);
        assert_eq!(count(LetterFilter::older_than(Duration::from_secs(3_600))).await, 0);
        assert_eq!(count(LetterFilter::older_than(Duration::ZERO)).await, 7);
        assert_eq!(count(LetterFilter::all().after(all[1].id).up_to(all[4].id)).await, 3);
        assert_eq!(queue.purge(LetterFilter::all().after(all[1].id).limit(2)).await.unwrap().purged, 2);
        assert_eq!(waiting(queue).await, [1, 2, 5, 6, 7]);
        assert_eq!(queue.snapshot().waiting, 5);
    }
}

#[tokio::test]
async fn p20_many_callers_at_once_are_each_parked_once() {
    let folder = folder();
    let queue = open(&folder.path().join("letters.db")).await;
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move { fail(&queue, number).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut numbers = waiting(&queue).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<u64>>());
    assert_accounted(&queue, 300, 300, None);
}

#[tokio::test]
async fn p21_a_full_file_refuses_or_evicts() {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("letters.db")).await.unwrap();
    let refusing = DeadLetterQueue::builder("a").capacity(2).on(store.clone()).unwrap();
    let evicting =
        DeadLetterQueue::builder("b").capacity(2).when_full(WhenFull::DropOldest).on(store).unwrap();
    for number in 1..=5 {
        fail(&refusing, number).await;
        fail(&evicting, number).await;
    }
    assert_eq!(waiting(&refusing).await, [1, 2]);
    assert_accounted(&refusing, 5, 2, Some((DropReason::Full, 3)));
    assert_eq!(waiting(&evicting).await, [4, 5]);
    assert_accounted(&evicting, 5, 5, None);
    assert_eq!((evicting.snapshot().evicted, evicting.snapshot().waiting), (3, 2));
}

#[tokio::test]
async fn p23_letters_are_redriven_from_a_file() {
    let folder = folder();
    let queue = open(&folder.path().join("letters.db")).await;
    for number in 1..=30 {
        fail(&queue, number).await;
    }
    let service = service_fn(|order: Order| async move {
        if order.number == 13 { Err(BoxError::from("again")) } else { Ok(()) }
    });
    let report = queue.redrive(service, Redrive::all().concurrency(8)).await.unwrap();
    assert_eq!((report.redriven, report.failed), (29, 1));
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].tries, letters[0].message.as_str()), (1, 2, "again"));
}

#[tokio::test]
async fn p25_two_handles_on_one_file_lose_and_duplicate_nothing() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    let (one, two) = tokio::join!(open(&path), open(&path));
    let park = async |queue: &DeadLetterQueue, numbers: std::ops::Range<u32>| {
        for number in numbers {
            fail(queue, number).await;
        }
    };
    tokio::join!(park(&one, 0..100), park(&two, 100..200));
    let mut numbers = waiting(&one).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<u64>>());
    assert_eq!((one.len().await.unwrap(), two.len().await.unwrap()), (200, 200));
    assert_accounted(&one, 100, 100, None);
    assert_eq!(two.purge(LetterFilter::all()).await.unwrap().purged, 200);
    assert!(one.is_empty().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn p25_many_open_a_new_file_at_once() {
    let folder = folder();
    for round in 0..20 {
        let path = folder.path().join(format!("letters-{round}.db"));
        let ready = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let openings: Vec<_> = (0..8)
            .map(|number| {
                let (path, ready) = (path.clone(), ready.clone());
                tokio::spawn(async move {
                    ready.wait().await;
                    let queue = open(&path).await;
                    fail(&queue, number).await;
                    queue
                })
            })
            .collect();
        let mut queues = Vec::new();
        for opening in openings {
            queues.push(opening.await.unwrap());
        }
        let mut numbers = waiting(&queues[0]).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (0..8).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_in_the_error() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [
        file.join("letters.db"),
        folder.path().join("nowhere/letters.db"),
        folder.path().to_path_buf(),
        Path::new("/proc/letters.db").to_path_buf(),
    ] {
        let error = refused(&path).await;
        assert!(error.is_unwritable() && error.to_string().contains("cannot write letters to"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_sqlite_is_refused_and_unchanged() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    let garbage = "this is no database, whatever its name says\n".repeat(1_000);
    std::fs::write(&path, &garbage).unwrap();
    let error = refused(&path).await;
    assert!(error.is_corrupt() && error.to_string().contains("move it away"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
}

async fn filled(path: &Path) {
    let queue = open(path).await;
    for number in 0..200 {
        fail(&queue, number).await;
    }
    queue.purge(LetterFilter::all().limit(1)).await.unwrap();
    drop(queue);
    settled(path).await;
}

/// Waits until the writer has closed the file: the last connection removes the log.
async fn settled(path: &Path) {
    let log = path.with_extension("db-wal");
    for _ in 0..500 {
        if !log.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a dropped handle must end its thread");
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    filled(&path).await;
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    let error = refused(&path).await;
    assert!(error.is_corrupt(), "{error}");
}

#[tokio::test]
async fn a_damaged_page_is_detected() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    filled(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = refused(&path).await;
    assert!(error.is_corrupt(), "{error}");
}

#[tokio::test]
async fn a_later_schema_and_another_programs_file_are_refused() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    filled(&path).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = refused(&path).await;
    assert!(error.is_newer_schema() && error.to_string().contains("version 99"), "{error}");

    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let error = refused(&path).await;
    assert!(error.is_foreign() && error.to_string().contains("their own file"), "{error}");
}

#[tokio::test]
async fn p21_a_locked_file_does_not_affect_the_caller() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    let limit = Duration::from_millis(50);
    let queue = DeadLetterQueue::builder("orders").park_timeout(limit).sqlite(&path).await.unwrap();
    fail(&queue, 1).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(fail(&queue, 2).await.to_string(), "order 2 refused");
    assert_eq!((queue.snapshot().late, queue.snapshot().parking), (1, 1));
    other.execute_batch("COMMIT").unwrap();
    while queue.snapshot().parking > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_accounted(&queue, 2, 2, None);
    assert_eq!(waiting(&queue).await, [1, 2]);
}

#[tokio::test]
async fn a_dropped_handle_ends_its_thread_after_pending_calls() {
    let folder = folder();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    let parked = tokio::spawn({
        let queue = queue.clone();
        async move { fail(&queue, 1).await }
    });
    tokio::task::yield_now().await;
    drop(queue);
    parked.await.unwrap();
    settled(&path).await;
    assert_eq!(waiting(&open(&path).await).await, [1]);
}

#[tokio::test]
async fn p24_a_secret_is_in_no_file() {
    let folder = folder();
    let queue = open(&folder.path().join("letters.db")).await;
    let service = queue.layer().layer(service_fn(|value: serde_json::Value| async move {
        Err::<(), BoxError>(format!("refused {value}").into())
    }));
    let request =
        serde_json::json!({"order": 7, "card": {"api_key": "planted-one", "token": ["planted-two"]}});
    service.oneshot(request).await.unwrap_err();
    assert_accounted(&queue, 1, 1, None);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = bytes(&file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"planted"));
    }
}
