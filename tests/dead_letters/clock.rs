//! Steps of the wall clock while letters wait: by an hour, by thirty days, to 1970 and to 2106.

use campanile::DeadLetterQueue;
use campanile::store::MemoryStore;
#[cfg(feature = "sqlite")]
use campanile::store::{Claim, LetterFilter, Owner, SqliteStore, Store};
#[cfg(feature = "sqlite")]
use std::time::Duration;

use crate::clock_checks;
use crate::wall::{Wall, the_clock_can_be_set};

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
fn a_clock_step_does_not_affect_letters_in_memory() {
    let Some(wall) = Wall::in_child("clock::a_clock_step_does_not_affect_letters_in_memory") else {
        return;
    };
    the_clock_can_be_set(&wall);
    run(async {
        let store = MemoryStore::default();
        clock_checks::all(&store, &wall).await;
        // The store is opened while the clock is wrong.
        wall.set(-30 * 86_400);
        clock_checks::all(&MemoryStore::default(), &wall).await;
    });
}

#[test]
fn a_clock_step_does_not_affect_a_redrive_from_memory() {
    let Some(wall) = Wall::in_child("clock::a_clock_step_does_not_affect_a_redrive_from_memory") else {
        return;
    };
    run(async {
        clock_checks::redrives(|name| DeadLetterQueue::builder(name).build().unwrap(), &wall).await;
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn a_clock_step_does_not_affect_letters_in_a_file() {
    let Some(wall) = Wall::in_child("clock::a_clock_step_does_not_affect_letters_in_a_file") else {
        return;
    };
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("letters.db")).await.unwrap();
        clock_checks::all(&store, &wall).await;
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn a_clock_step_does_not_affect_a_redrive_from_a_file() {
    let Some(wall) = Wall::in_child("clock::a_clock_step_does_not_affect_a_redrive_from_a_file") else {
        return;
    };
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("letters.db")).await.unwrap();
        let open = |name: String| DeadLetterQueue::builder(name).on(store.clone()).unwrap();
        clock_checks::redrives(open, &wall).await;
    });
}

/// Two handles stand for two processes: they share only the file.
#[cfg(feature = "sqlite")]
#[test]
fn a_clock_step_does_not_affect_a_file_that_is_opened_again() {
    let Some(wall) = Wall::in_child("clock::a_clock_step_does_not_affect_a_file_that_is_opened_again") else {
        return;
    };
    run(async {
        for step in wall.steps() {
            wall.set(0);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("letters.db");
            let (queue, hour) = (crate::store_checks::queue("again"), Duration::from_secs(3_600));
            let claim = |lease| Claim {
                owner: Owner::new(),
                now: crate::store_checks::now(),
                lease,
                due_by: None,
                bytes: u64::MAX,
            };
            let first = SqliteStore::open(&path).await.unwrap();
            let mut letter = crate::store_checks::entry(&queue);
            letter.expires = Some(letter.last_failed + hour / 2);
            crate::store_checks::put(&first, &letter).await;
            let held = first.claim(&queue, &LetterFilter::all(), claim(10 * hour)).await.unwrap();
            assert_eq!(held.len(), 1);
            wall.set(step);
            let second = SqliteStore::open(&path).await.unwrap();
            assert!(
                second.claim(&queue, &LetterFilter::all(), claim(hour)).await.unwrap().is_empty(),
                "{step}"
            );
            assert_eq!(second.expire(&queue, crate::store_checks::now()).await.unwrap(), 0, "{step}");
            drop(first);
            drop(second);
            let third = SqliteStore::open(&path).await.unwrap();
            assert!(
                third.claim(&queue, &LetterFilter::all(), claim(hour)).await.unwrap().is_empty(),
                "{step}"
            );
            assert_eq!(third.expire(&queue, crate::store_checks::now()).await.unwrap(), 0, "{step}");
        }
    });
}

#[cfg(feature = "sqlite")]
const PATH: &str = "CAMPANILE_TEST_LETTERS_AHEAD";

/// Not a test: a child that parks three letters, with a clock that is thirty days ahead.
#[cfg(feature = "sqlite")]
#[test]
fn ahead() {
    let Ok(path) = std::env::var(PATH) else { return };
    let Some(wall) = Wall::in_child("clock::ahead") else { return };
    wall.set(30 * 86_400);
    run(async {
        let queue = DeadLetterQueue::builder("orders").sqlite(path).await.unwrap();
        for number in 0..3 {
            clock_checks::park(&queue, number).await;
        }
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn letters_of_a_process_whose_clock_was_ahead_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    assert!(Wall::with("clock::ahead", &[(PATH, path.to_str().unwrap())]).is_none());
    run(async {
        let queue = DeadLetterQueue::builder("orders").sqlite(&path).await.unwrap();
        for number in 0..2 {
            clock_checks::park(&queue, number).await;
        }
        clock_checks::redrives_letters_dated_ahead(&queue, 5).await;
        assert!(queue.is_empty().await.unwrap());
    });
}
