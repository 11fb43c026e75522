//! Letters and rows that cannot be read, in memory and in files.

use campanile::store::MemoryStore;
use std::sync::Arc;

use crate::unreadable_checks::{
    an_unreadable_letter_hides_no_other, unreadable_letters_are_set_aside_unchanged,
};

/// A shared store in memory.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<MemoryStore>);

mod forward {
    use super::Shared;
    use campanile::store::*;
    use std::time::{Duration, SystemTime};

    impl Store for Shared {
        fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
            self.0.put(entry, limits)
        }
        fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
            self.0.get(queue, id)
        }
        fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
            self.0.list(queue, filter)
        }
        fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
            self.0.count(queue, filter)
        }
        fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
            self.0.groups(queue, filter)
        }
        fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
            self.0.frequencies(queue, last)
        }
        fn claim<'a>(
            &'a self,
            queue: &'a str,
            filter: &'a LetterFilter,
            claim: Claim,
        ) -> Pending<'a, Vec<Entry>> {
            self.0.claim(queue, filter, claim)
        }
        fn renew<'a>(
            &'a self,
            queue: &'a str,
            ids: &'a [LetterId],
            claim: Claim,
        ) -> Pending<'a, Vec<LetterId>> {
            self.0.renew(queue, ids, claim)
        }
        fn settle<'a>(&'a self, queue: &'a str, owner: Owner, all: Vec<Settled>) -> Pending<'a, Vec<bool>> {
            self.0.settle(queue, owner, all)
        }
        fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
            self.0.purge(queue, record)
        }
        fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
            self.0.purges(queue)
        }
        fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
            self.0.expire(queue, now)
        }
        fn depth(&self, queue: &str) -> Depth {
            self.0.depth(queue)
        }
    }
}

#[tokio::test]
async fn a_bad_letter_in_memory_does_not_hide_others() {
    an_unreadable_letter_hides_no_other(&Shared::default()).await;
}

#[tokio::test(start_paused = true)]
async fn unreadable_letters_in_memory_are_set_aside_unchanged() {
    unreadable_letters_are_set_aside_unchanged(&Shared::default()).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::time::Duration;

    use campanile::FailureKind;
    use campanile::dead_letter::{LetterFilter, LetterId, Payload, Redrive, Unsendable};
    use campanile::store::SqliteStore;
    use rusqlite::Connection;
    use tower::{BoxError, service_fn};

    use super::{an_unreadable_letter_hides_no_other, unreadable_letters_are_set_aside_unchanged};
    use crate::support::open;
    use crate::unreadable_checks::park;

    async fn store() -> (SqliteStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteStore::open(folder.path().join("letters.db")).await.unwrap(), folder)
    }

    #[tokio::test]
    async fn a_bad_letter_in_a_file_does_not_hide_others() {
        an_unreadable_letter_hides_no_other(&store().await.0).await;
    }

    #[tokio::test]
    async fn unreadable_letters_in_a_file_are_set_aside_unchanged() {
        unreadable_letters_are_set_aside_unchanged(&store().await.0).await;
    }

    fn change(path: &Path, sql: &str, id: LetterId) {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        let id = id.to_bytes();
        let parameters: &[&dyn rusqlite::ToSql] = if sql.contains("?1") { &[&id] } else { &[] };
        assert!(connection.execute(sql, parameters).unwrap() > 0, "{sql}");
    }

    const OF: &str = "WHERE id = (SELECT content FROM letters WHERE id = ?1)";
    const CAUSE: &str = "WHERE id = (SELECT cause FROM letters WHERE id = ?1)";

    /// Damage to the row of one letter, whether the letter can still be read, and whether all three letters have its
    /// cause.
    fn damages() -> Vec<(String, bool)> {
        let row = |change: &str| format!("UPDATE letters SET {change} WHERE id = ?1");
        vec![
            (format!("UPDATE contents SET head = 'text' {OF}"), false),
            (format!("UPDATE contents SET head = x'ff', body = 7 {OF}"), false),
            (format!("UPDATE contents SET head = 1.5 {OF}"), false),
            (format!("DELETE FROM contents {OF}"), false),
            (format!("UPDATE known_causes SET component = x'ffff', kind = 7 {CAUSE}"), true),
            (format!("UPDATE known_causes SET kind = 'melted' {CAUSE}"), true),
            (
                format!(
                    "UPDATE known_causes SET fingerprint = 'text', letters = 'many', first_seen = x'00' {CAUSE}"
                ),
                true,
            ),
            (format!("DELETE FROM known_causes {CAUSE}"), true),
            (format!("UPDATE known_causes SET origin = 'text', mixed = x'00' {CAUSE}"), true),
            ("DELETE FROM origins".to_owned(), true),
            ("UPDATE clock SET boot = x'ff', moment = 'text'".to_owned(), true),
            ("UPDATE clock SET up = 0.5".to_owned(), true),
            ("DELETE FROM clock".to_owned(), true),
            (row("origin = 'none'"), true),
            (row("cause = 'none'"), true),
            (row("size = 'large', first_failed = 'then', last_failed = x'00'"), true),
            (row("holder = x'0102', held_until = 7"), true),
            (row("content = -1"), false),
        ]
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_damaged_row_does_not_hide_others() {
        for (sql, readable) in damages() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("letters.db");
            let queue = open(&path).await;
            let (mut ids, mut all) = (Vec::new(), Vec::new());
            for number in 1..=3 {
                ids.push(park(&queue, number).await);
            }
            change(&path, &sql, ids[1]);
            for letter in queue.list(LetterFilter::all()).await.unwrap() {
                all.push(letter.id);
                assert_eq!(letter.unsendable.is_none(), readable || letter.id != ids[1], "{sql}");
            }
            assert_eq!(all, ids, "{sql}");
            assert!(queue.get(ids[1]).await.unwrap().is_some(), "{sql}");
            queue.groups(LetterFilter::all()).await.unwrap();
            queue.groups(LetterFilter::all().set_aside(false)).await.unwrap();
            queue.count(LetterFilter::all().kind(FailureKind::Error)).await.unwrap();
            queue.frequencies(Duration::from_secs(60)).await.unwrap();
            // More letters can be parked, also after the file was opened again, and all can be sent and purged.
            drop(queue);
            let queue = open(&path).await;
            park(&queue, 4).await;
            assert_eq!(queue.list(LetterFilter::all()).await.unwrap().len(), 4, "{sql}");
            let report = queue
                .redrive(service_fn(|_: u32| async { Ok::<_, BoxError>(()) }), Redrive::all())
                .await
                .unwrap();
            assert_eq!(report.redriven, if readable { 4 } else { 3 }, "{sql}");
            let purged = if readable { 0 } else { 1 };
            assert_eq!(queue.purge(LetterFilter::id(ids[1])).await.unwrap().purged, purged, "{sql}");
            assert_eq!((queue.len().await.unwrap(), queue.snapshot().waiting), (0, 0), "{sql}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_letter_without_an_id_can_be_listed_and_purged() {
        for stored in
            ["x'01'", "x''", "id || x'00'", "substr(id, 1, 15)", "'text'", "CAST(x'ff' AS TEXT)", "7", "0.5"]
        {
            for by_id in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("letters.db");
                let queue = open(&path).await;
                for number in 1..=3 {
                    park(&queue, number).await;
                }
                let all = queue.list(LetterFilter::all()).await.unwrap();
                change(&path, &format!("UPDATE letters SET id = {stored} WHERE id = ?1"), all[1].id);

                let shown = queue.list(LetterFilter::all()).await.unwrap();
                assert_eq!((shown.len(), queue.len().await.unwrap()), (3, 3), "{stored}");
                let bad: Vec<_> = shown.iter().filter(|letter| letter.unsendable.is_some()).collect();
                assert_eq!(bad.len(), 1, "{stored}");
                assert_eq!(bad[0].unsendable, Some(Unsendable::Unreadable));
                let Payload::Unreadable(raw) = &bad[0].payload else { panic!("{bad:?}") };
                assert!(String::from_utf8_lossy(raw.head.as_bytes()).contains(&all[1].id.to_string()));
                assert_eq!(queue.get(bad[0].id).await.unwrap().as_ref(), Some(bad[0]), "{stored}");
                // Page by page, none is missing and none occurs twice.
                let (mut pages, mut page) = (Vec::new(), LetterFilter::all().limit(1));
                while let Some(letter) = queue.list(page.clone()).await.unwrap().pop() {
                    page = page.after(letter.id);
                    pages.push(letter);
                    assert!(pages.len() <= 3, "{stored}");
                }
                assert_eq!(pages, shown, "{stored}");
                queue.groups(LetterFilter::all().set_aside(false)).await.unwrap();

                park(&queue, 4).await;
                let service = service_fn(|_: u32| async { Ok::<_, BoxError>(()) });
                let report = queue.redrive(service, Redrive::all()).await.unwrap();
                assert_eq!(report.redriven, 3, "{stored}");
                let filter = if by_id { LetterFilter::id(bad[0].id) } else { LetterFilter::all() };
                assert_eq!(queue.purge(filter).await.unwrap().purged, 1, "{stored}");
                assert_eq!((queue.len().await.unwrap(), queue.snapshot().waiting), (0, 0), "{stored}");
                assert_eq!(queue.snapshot().bytes, 0, "{stored}");
            }
        }
    }
}
