//! The cost of a page, in steps of SQLite's virtual machine, which do not depend on the speed of the computer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::change::{Change, Lease};
use super::search::{Claimable, Search};
use super::{file, open, report, rows};
use crate::base::moment;
use crate::base::outcome::FailureKind;
use crate::store::{Entry, Fingerprint, LetterFilter, LetterId, Limits, Owner, Put, WhenFull};

/// Half of the letters are of `mails`, each of another cause; of `orders` a quarter is due in an hour and a quarter is set
/// aside.
const FILL: &str = "
    INSERT INTO queues (id, name) VALUES (1, 'orders');
    INSERT INTO origins (id, queue, component, kind) VALUES (1, 1, 'mails', 'error'), (2, 1, 'orders', 'error');
    CREATE TEMP TABLE numbers AS WITH RECURSIVE numbers (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) SELECT n FROM numbers;
    INSERT INTO known_causes (id, queue, fingerprint, component, kind, letters, first_seen, last_seen, origin)
        SELECT n, 1, n, CASE WHEN n % 8 < 4 THEN 'mails' ELSE 'orders' END, 'error', 1 + n % 3, 0, 0,
            CASE WHEN n % 8 < 4 THEN 1 ELSE 2 END FROM numbers;
    INSERT INTO contents (id, head, body) SELECT n, x'00', x'' FROM numbers;
    INSERT INTO letters (queue, lane, id, cause, origin, content, size, first_failed, last_failed, due)
        SELECT 1, CASE n % 8 WHEN 4 THEN 2 WHEN 5 THEN 3 ELSE 1 END, CAST(format('%016d', n) AS BLOB), n,
            CASE WHEN n % 8 < 4 THEN 1 ELSE 2 END, n, 1, ?2, ?2, CASE n % 8 WHEN 4 THEN ?2 + 3600000000 END
        FROM numbers;
    UPDATE queues SET letters = ?1, bytes = ?1;
";

fn filled(path: &std::path::Path, letters: i64) -> (Connection, Arc<AtomicU64>) {
    file::create(path).unwrap();
    let mut connection = open::writer(path).unwrap();
    let now = rows::micros(moment::now());
    let change = connection.transaction().unwrap();
    change.execute_batch(&FILL.replace("?1", &letters.to_string()).replace("?2", &now.to_string())).unwrap();
    change.commit().unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    connection.progress_handler(1, Some(count)).unwrap();
    (connection, steps)
}

fn entry(number: u64) -> Entry {
    let now = moment::now();
    Entry {
        id: LetterId::new(),
        queue: "orders".into(),
        component: "orders".into(),
        kind: FailureKind::Error,
        fingerprint: Fingerprint::from_bits(number),
        first_failed: now,
        last_failed: now,
        due: None,
        expires: None,
        set_aside: false,
        head: vec![1],
        body: Vec::new(),
    }
}

/// The steps for each page in a queue with the given number of letters and causes.
fn steps(letters: i64) -> Vec<(String, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let (connection, steps) = filled(&folder.path().join("letters.db"), letters);
    let now = moment::now();
    let mut all = Vec::new();
    let mut measure = |what: String, work: &mut dyn FnMut()| {
        steps.store(0, Ordering::Relaxed);
        work();
        all.push((what, steps.load(Ordering::Relaxed)));
    };
    let all_of = LetterFilter::all().limit(16);
    let orders = all_of.clone().component("orders");
    let filters = [
        &all_of,
        &orders,
        &orders.clone().kind(FailureKind::Error),
        &all_of.clone().kind(FailureKind::Error),
        &orders.clone().set_aside(true),
        &all_of.clone().set_aside(true),
        &orders.clone().after(LetterId::from_bytes(*b"0000000000000100")),
    ];
    for filter in filters {
        for due_by in [None, Some(now)] {
            measure(format!("claim {filter:?} {due_by:?}"), &mut || {
                let claimable = Claimable { now, due_by, lease_now: 0 };
                // The lease ends at once.
                let lease = Lease { owner: Owner::new(), until: 0 };
                let found =
                    Change::new(&connection).claim("orders", filter, claimable, lease, u64::MAX).unwrap();
                assert_eq!(found.len(), 16);
            });
        }
        measure(format!("list {filter:?}"), &mut || {
            let found = Search::within(1, filter, now).find(&connection, 16).unwrap();
            assert_eq!(rows::entries(&connection, &"orders".into(), &found).unwrap().len(), 16);
        });
    }
    let one = LetterFilter::all().limit(16).fingerprint(Fingerprint::from_bits(7));
    for (filter, found) in [(&all_of, 16), (&orders, 16), (&one, 1)] {
        measure(format!("groups {filter:?}"), &mut || {
            let groups = report::groups(&connection, &"orders".into(), filter, now).unwrap();
            assert_eq!(groups.len(), found);
        });
    }
    let due = now + Duration::from_secs(7_200);
    measure("claim when all are due".to_owned(), &mut || {
        let claimable = Claimable { now: due, due_by: Some(due), lease_now: 0 };
        let lease = Lease { owner: Owner::new(), until: 0 };
        let found = Change::new(&connection).claim("orders", &orders, claimable, lease, u64::MAX).unwrap();
        assert_eq!(found.len(), 16);
    });
    let limits =
        Limits { capacity: letters.unsigned_abs(), bytes: u64::MAX, when_full: WhenFull::DropOldest };
    let drop_one = |number| {
        let mut change = Change::new(&connection);
        assert_eq!(change.put(&entry(number), limits, now).unwrap(), Put::Kept { evicted: 1 });
        change.finish().unwrap();
    };
    // The first call creates the index.
    drop_one(1);
    measure("put, and the oldest goes".to_owned(), &mut || drop_one(2));
    all
}

#[test]
fn the_cost_of_a_page_depends_on_its_length_only() {
    let (few, many) = (steps(8_000), steps(200_000));
    for ((what, few), (other, many)) in few.iter().zip(&many) {
        println!("{few:7} {many:7} {what}");
        // The text contains the current time, which differs.
        assert_eq!(what.split(" Some(SystemTime").next(), other.split(" Some(SystemTime").next());
        assert!(*many <= few + few / 20 + 50, "{what}: {few} steps for 8,000 letters, {many} for 200,000");
    }
}
