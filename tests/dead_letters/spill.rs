//! The spill: letters that the store does not take are parked in it, and move to the store later.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{
    DeadLetterQueueBuilder, DropReason, LetterFilter, SpillReason, SpillSettings, WhenFull,
};
use campanile::store::{MemoryStore, SpillStore};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore, assert_accounted, fail, until, waiting};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A queue with a spill, and with a timeout that a busy machine does not reach.
fn builder(folder: &Path) -> DeadLetterQueueBuilder {
    DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30)).spill(folder.join("spill.db"))
}

async fn drained(queue: &DeadLetterQueue) {
    until("the spill is empty", async || queue.snapshot().spilled == 0).await;
}

#[tokio::test]
async fn p20_letters_that_the_store_does_not_take_go_to_the_spill_and_return() {
    for (mood, why) in [
        (Mood::Fails, SpillReason::Error),
        (Mood::PanicsAtOnce, SpillReason::Error),
        (Mood::PanicsLater, SpillReason::Error),
        (Mood::Hangs, SpillReason::Timeout),
    ] {
        let folder = folder();
        let store = MoodyStore::new(Mood::Fine);
        let spill = SpillSettings::new(folder.path().join("spill.db")).after(Duration::from_millis(200));
        let queue = builder(folder.path()).spill(spill).open(store.clone()).await.unwrap();
        fail(&queue, 1).await;
        store.set(mood);
        for number in 2..=6 {
            assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
        }
        assert_accounted(&queue, 6, 6, None);
        let snapshot = queue.snapshot();
        assert_eq!((snapshot.spilled, snapshot.spilled_for(why)), (5, 5), "{mood:?}");
        assert!(mood == Mood::PanicsAtOnce || snapshot.waiting == 1, "it panics here too: {snapshot:?}");

        store.set(Mood::Fine);
        drained(&queue).await;
        assert_eq!(waiting(&queue).await, [1, 2, 3, 4, 5, 6]);
        fail(&queue, 7).await;
        until("it parks in the store again", async || queue.len().await.unwrap() == 7).await;
        assert_accounted(&queue, 7, 7, None);
        assert_eq!(queue.snapshot().late, 0);
    }
}

#[tokio::test]
async fn p21_callers_do_not_wait_for_a_store_that_is_known_to_be_down() {
    const AFTER: Duration = Duration::from_secs(3);
    let folder = folder();
    let store = MoodyStore::new(Mood::Hangs);
    let spill = SpillSettings::new(folder.path().join("spill.db")).after(AFTER);
    let queue = builder(folder.path()).spill(spill).open(store).await.unwrap();
    let began = Instant::now();
    fail(&queue, 1).await;
    assert!(began.elapsed() >= AFTER, "it was worth a try");
    let began = Instant::now();
    for number in 2..=20 {
        fail(&queue, number).await;
    }
    assert!(began.elapsed() < AFTER, "{:?}", began.elapsed());
    assert_accounted(&queue, 20, 20, None);
    assert_eq!(queue.snapshot().spilled, 20);
}

#[tokio::test]
async fn p20_a_full_queue_spills_and_is_refilled_when_it_has_space() {
    let folder = folder();
    let queue = builder(folder.path()).capacity(2).when_full(WhenFull::Spill);
    let queue = queue.sqlite(folder.path().join("letters.db")).await.unwrap();
    for number in 1..=7 {
        fail(&queue, number).await;
    }
    assert_eq!(waiting(&queue).await, [1, 2]);
    assert_accounted(&queue, 7, 7, None);
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.spilled, snapshot.spilled_for(SpillReason::Full)), (5, 5));
    for wanted in [&[3, 4][..], &[5, 6], &[7]] {
        queue.purge(LetterFilter::all()).await.unwrap();
        until("it is filled again", async || waiting(&queue).await == wanted).await;
    }
    drained(&queue).await;
    assert_eq!(queue.snapshot().purged, 6);
}

#[tokio::test]
async fn p20_a_full_spill_drops_letters_with_the_reason() {
    for (mood, when_full, reason) in [
        (Mood::Fails, WhenFull::RefuseNew, DropReason::Store),
        (Mood::Hangs, WhenFull::RefuseNew, DropReason::Timeout),
        (Mood::Fine, WhenFull::Spill, DropReason::Full),
    ] {
        let folder = folder();
        let store = MoodyStore::new(mood);
        let spill =
            SpillSettings::new(folder.path().join("spill.db")).after(Duration::from_millis(100)).capacity(2);
        let queue = builder(folder.path()).capacity(1).when_full(when_full).spill(spill);
        let queue = queue.open(store).await.unwrap();
        for number in 1..=5 {
            assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
        }
        let kept = 2 + u64::from(mood == Mood::Fine);
        assert_accounted(&queue, 5, kept, Some((reason, 5 - kept)));
        assert_eq!(queue.snapshot().spilled, 2);
    }
}

#[tokio::test]
async fn p21_a_spill_that_hangs_too_delays_the_caller_for_at_most_the_park_timeout() {
    const LIMIT: Duration = Duration::from_millis(300);
    let folder = folder();
    let store = MoodyStore::new(Mood::Hangs);
    let queue = builder(folder.path()).park_timeout(LIMIT).open(store.clone()).await.unwrap();
    let other = rusqlite::Connection::open(folder.path().join("spill.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for number in 1..=3 {
        let began = Instant::now();
        assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
        assert!(began.elapsed() >= LIMIT, "{:?}", began.elapsed());
    }
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.late, snapshot.parking), (3, 3));
    other.execute_batch("COMMIT").unwrap();
    until("they are in the spill", async || queue.snapshot().parking == 0).await;
    assert_accounted(&queue, 3, 3, None);
    store.set(Mood::Fine);
    drained(&queue).await;
    assert_eq!(waiting(&queue).await, [1, 2, 3]);
}

#[tokio::test]
async fn p22_letters_in_the_spill_survive_a_restart_and_then_drain() {
    let folder = folder();
    let letters = folder.path().join("letters.db");
    let queue = builder(folder.path()).open(MoodyStore::new(Mood::Fails)).await.unwrap();
    for number in 1..=200 {
        fail(&queue, number).await;
    }
    fail(&queue.named("mails"), 999).await;
    drop(queue);

    let queue = builder(folder.path()).sqlite(&letters).await.unwrap();
    drained(&queue).await;
    assert_eq!(waiting(&queue).await, (1..=200).collect::<Vec<u64>>());
    let mails = queue.named("mails");
    drained(&mails).await;
    assert_eq!(waiting(&mails).await, [999]);
    // The previous process parked them.
    assert_accounted(&queue, 0, 0, None);
}

#[tokio::test]
async fn p25_two_queues_on_one_spill_lose_and_duplicate_nothing() {
    let folder = folder();
    let store = MoodyStore::new(Mood::Fails);
    let open = async || builder(folder.path()).open(store.clone()).await.unwrap();
    let (one, two) = tokio::join!(open(), open());
    let park = async |queue: &DeadLetterQueue, numbers: std::ops::Range<u32>| {
        for number in numbers {
            fail(queue, number).await;
        }
    };
    tokio::join!(park(&one, 0..150), park(&two, 150..300));
    assert_eq!((one.snapshot().parked, two.snapshot().parked), (150, 150));
    store.set(Mood::Fine);
    until("all are in the store", async || one.len().await.unwrap() == 300).await;
    // Each depth is that of its last commit.
    until("the spill is empty", async || {
        let spill = rusqlite::Connection::open(folder.path().join("spill.db")).unwrap();
        spill.query_row("SELECT count(*) FROM letters", [], |row| row.get::<_, i64>(0)) == Ok(0)
    })
    .await;
    let numbers = waiting(&one).await;
    assert_eq!(numbers.len(), 300);
    assert_eq!(numbers.into_iter().collect::<BTreeSet<u64>>(), (0..300).collect());
}

#[tokio::test]
async fn a_letter_that_the_store_refuses_does_not_block_the_others() {
    let folder = folder();
    let store = MoodyStore::new(Mood::RefusesLarge);
    let queue = builder(folder.path()).open(store.clone()).await.unwrap();
    let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("no") }));
    service.oneshot("x".repeat(50_000)).await.unwrap_err();
    assert_eq!(queue.snapshot().spilled, 1);
    for number in 1..=5 {
        fail(&queue, number).await;
    }
    until("the others are there", async || queue.len().await.unwrap() == 5).await;
    until("it is alone", async || queue.snapshot().spilled == 1).await;
    assert_accounted(&queue, 6, 6, None);
    store.set(Mood::Fine);
    drained(&queue).await;
    assert_eq!(queue.len().await.unwrap(), 6);
}

#[tokio::test]
async fn evictions_by_the_drain_are_counted() {
    let folder = folder();
    let store = MoodyStore::new(Mood::Fine);
    let queue = builder(folder.path()).capacity(3).when_full(WhenFull::DropOldest);
    let queue = queue.open(store.clone()).await.unwrap();
    for number in 1..=3 {
        fail(&queue, number).await;
    }
    store.set(Mood::Fails);
    for number in 4..=5 {
        fail(&queue, number).await;
    }
    store.set(Mood::Fine);
    drained(&queue).await;
    assert_eq!(waiting(&queue).await, [3, 4, 5]);
    assert_accounted(&queue, 5, 5, None);
    assert_eq!(queue.snapshot().evicted, 2);
}

#[tokio::test]
async fn a_letter_larger_than_the_queue_does_not_wait_in_the_spill_for_ever() {
    let folder = folder();
    for mood in [Mood::Fine, Mood::Fails] {
        let queue = builder(folder.path()).max_bytes(65_536).when_full(WhenFull::Spill);
        let queue = queue.open(MoodyStore::new(mood)).await.unwrap();
        let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("no") }));
        service.oneshot("x".repeat(70_000)).await.unwrap_err();
        assert_accounted(&queue, 1, 0, Some((DropReason::Full, 1)));
        assert_eq!(queue.snapshot().spilled, 0);
    }
}

#[tokio::test]
async fn a_spill_that_cannot_be_opened_is_named_in_the_error() {
    let folder = folder();
    let nowhere = folder.path().join("nowhere/spill.db");
    let error = SpillStore::open(MemoryStore::default(), SpillSettings::new(&nowhere)).await.unwrap_err();
    assert!(error.is_unwritable() && error.to_string().contains(nowhere.to_str().unwrap()), "{error}");

    let letters = folder.path().join("letters.db");
    let error = DeadLetterQueue::builder("q").spill(letters.as_path()).sqlite(&letters).await.unwrap_err();
    assert!(error.is_setting() && error.to_string().contains("another file"), "{error}");
}

const KILLED: &str = "CAMPANILE_TEST_KILLED_DRAIN";

/// Not a test: the child of the test below, which drains until it is killed.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(KILLED).map(std::path::PathBuf::from) else {
        return;
    };
    let _queue = builder(&folder).sqlite(folder.join("letters.db")).await.unwrap();
    println!("open");
    std::future::pending().await
}

#[tokio::test]
async fn p22_a_drain_that_is_killed_midway_loses_and_duplicates_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    const LETTERS: u32 = 3_000;
    let folder = folder();
    let queue = builder(folder.path()).open(MoodyStore::new(Mood::Fails)).await.unwrap();
    let parked: Vec<_> = (0..LETTERS)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move { fail(&queue, number).await })
        })
        .collect();
    for parked in parked {
        parked.await.unwrap();
    }
    assert_eq!(queue.snapshot().spilled, u64::from(LETTERS));
    drop(queue);

    let count = |name: &str| -> i64 {
        let file = rusqlite::Connection::open(folder.path().join(name)).unwrap();
        file.query_row("SELECT count(*) FROM letters", [], |row| row.get(0)).unwrap()
    };
    let mut midway = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "spill::child", "--nocapture"])
            .env(KILLED, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("open")), "the child ended");
        tokio::time::sleep(Duration::from_micros(round * 7_919 % 30_000)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let (here, there) = (count("spill.db"), count("letters.db"));
        assert!(here + there >= i64::from(LETTERS), "{here} in the spill, {there} in the store");
        midway += u32::from(here > 0 && there > 0);
    }
    assert!(midway > 0, "no kill hit a drain that was under way");

    let queue = builder(folder.path()).sqlite(folder.path().join("letters.db")).await.unwrap();
    drained(&queue).await;
    let numbers = waiting(&queue).await;
    assert_eq!(numbers.len(), LETTERS as usize);
    assert_eq!(numbers.into_iter().collect::<BTreeSet<u64>>(), (0..u64::from(LETTERS)).collect());
    assert_eq!(count("spill.db"), 0);
}
