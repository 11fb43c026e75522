//! A spill on the file of the store would move letters onto themselves and remove them. It is refused by the identity of the
//! file, not by its path.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterQueueBuilder, SpillSettings};
use campanile::store::{SpillStore, SqliteStore};

use crate::support::{Mood, MoodyStore, assert_accounted, fail, waiting};

fn builder() -> DeadLetterQueueBuilder {
    DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30))
}

#[cfg(unix)]
#[tokio::test]
async fn a_spill_on_the_file_of_the_store_is_refused_by_any_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    std::fs::create_dir(folder.path().join("more")).unwrap();
    fail(&builder().sqlite(&path).await.unwrap(), 1).await;
    let (link, hard) = (folder.path().join("link.db"), folder.path().join("hard.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    for other in [path.clone(), folder.path().join("more/../letters.db"), link, hard] {
        let by_path = builder().spill(other.as_path()).sqlite(&path).await.unwrap_err();
        let by_hand = builder().spill(other.as_path()).open(store.clone()).await.unwrap_err();
        let directly = SpillStore::open(store.clone(), SpillSettings::new(&other)).await.unwrap_err();
        for error in [by_path, by_hand, directly] {
            let said = error.to_string();
            assert!(
                error.is_setting() && said.contains("spill.path") && said.contains("another file"),
                "{said}"
            );
            assert!(said.contains(other.to_str().unwrap()), "{said}");
        }
    }
    // The other way round: the file exists only under the other path.
    let error = builder().spill(path.as_path()).sqlite(folder.path().join("more/../letters.db")).await;
    assert!(error.unwrap_err().is_setting());
    let queue = builder().sqlite(&path).await.unwrap();
    assert_eq!(waiting(&queue).await, [1]);
}

#[tokio::test]
async fn a_spill_of_a_spill_needs_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let inner =
        SpillStore::open(SqliteStore::open(at("a.db")).await.unwrap(), SpillSettings::new(at("b.db")));
    let inner = inner.await.unwrap();
    for name in ["a.db", "b.db"] {
        let error = SpillStore::open(inner.clone(), SpillSettings::new(at(name))).await.unwrap_err();
        assert!(error.is_setting(), "{error}");
    }
    let outer = SpillStore::open(inner, SpillSettings::new(at("c.db"))).await.unwrap();
    let queue = builder().on(outer).unwrap();
    fail(&queue, 1).await;
    assert_eq!(waiting(&queue).await, [1]);
}

/// Two queues may share one.
#[tokio::test]
async fn two_stores_may_have_one_spill() {
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().join("spill.db");
    let (one, two) = (MoodyStore::new(Mood::Fails), MoodyStore::new(Mood::Fails));
    let open = async |name: &str, store: &MoodyStore| {
        let builder = DeadLetterQueue::builder(name).park_timeout(Duration::from_secs(30));
        builder.spill(spill.as_path()).open(store.clone()).await.unwrap()
    };
    let (first, second) = (open("one", &one).await, open("two", &two).await);
    fail(&first, 1).await;
    fail(&second, 2).await;
    one.set(Mood::Fine);
    two.set(Mood::Fine);
    crate::support::until("both are where they belong", async || {
        first.snapshot().spilled + second.snapshot().spilled == 0
    })
    .await;
    assert_eq!((waiting(&first).await, waiting(&second).await), (vec![1], vec![2]));
}

/// A custom store may hide its file. Its letters still stay where they are.
#[tokio::test]
async fn letters_are_not_moved_onto_themselves_through_a_store_that_hides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let store = MoodyStore::over(SqliteStore::open(&path).await.unwrap(), Mood::Fails);
    let queue = builder().spill(path.as_path()).open(store.clone()).await.unwrap();
    for number in 1..=10 {
        fail(&queue, number).await;
    }
    store.set(Mood::Fine);
    // Time for several rounds of the drain.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_accounted(&queue, 10, 10, None);
    assert_eq!(waiting(&queue).await, (1..=10).collect::<Vec<_>>());
    drop(queue);
    let queue = DeadLetterQueue::builder("orders").sqlite(&path).await.unwrap();
    assert_eq!(waiting(&queue).await, (1..=10).collect::<Vec<_>>());
}
