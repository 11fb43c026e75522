//! Files that older versions wrote.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::store::{
    Entry, Fingerprint, LetterFilter, LetterId, Limits, Put, SqliteStore, Store, WhenFull,
};
use rusqlite::{Connection, params};

const PATH: &str = "CAMPANILE_TEST_OLD_LETTERS";

/// The exact schema of version 1.
const FIRST: &str = "
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        letters INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE letters (
        id BLOB NOT NULL,
        queue INTEGER NOT NULL,
        component TEXT NOT NULL,
        kind TEXT NOT NULL,
        fingerprint INTEGER NOT NULL,
        first_failed INTEGER NOT NULL,
        last_failed INTEGER NOT NULL,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE UNIQUE INDEX letters_by_id ON letters (queue, id);
    CREATE INDEX letters_by_fingerprint ON letters (queue, fingerprint, id);
    CREATE TRIGGER letter_comes AFTER INSERT ON letters BEGIN
        UPDATE queues SET letters = letters + 1 WHERE id = new.queue;
    END;
    CREATE TRIGGER letter_goes AFTER DELETE ON letters BEGIN
        UPDATE queues SET letters = letters - 1 WHERE id = old.queue;
    END;
    PRAGMA application_id = 0x43414d50;
    PRAGMA user_version = 1;
";

fn entry(queue: &str, number: u64, now: SystemTime) -> Entry {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(since.as_micros() as u64);
    Entry {
        id: LetterId::new(),
        queue: queue.into(),
        component: format!("component-{}", number % 3).into(),
        kind: FailureKind::ALL[(number % 4) as usize],
        fingerprint: Fingerprint::from_bits(u64::MAX - number % 12),
        first_failed: now - Duration::from_secs(number % 100 + 60),
        last_failed: now - Duration::from_secs(number % 60),
        due: None,
        expires: None,
        set_aside: false,
        head: format!("head of {number}").into_bytes(),
        body: vec![b'b'; (number % 900) as usize],
    }
}

/// A file of version 1 with this many letters.
fn old(path: &Path, letters: u64) -> Vec<Entry> {
    let mut connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    connection.execute_batch(FIRST).unwrap();
    let change = connection.transaction().unwrap();
    change.execute_batch("INSERT INTO queues (name) VALUES ('orders'), ('mails')").unwrap();
    let now = SystemTime::now();
    let micros =
        |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let mut entries = Vec::new();
    for number in 0..letters {
        let (queue, name) = if number % 10 == 0 { (2, "mails") } else { (1, "orders") };
        let entry = entry(name, number, now);
        let values = params![
            entry.id.to_bytes(),
            queue,
            &*entry.component,
            entry.kind.as_str(),
            entry.fingerprint.to_bits().cast_signed(),
            micros(entry.first_failed),
            micros(entry.last_failed),
            entry.head,
            entry.body,
        ];
        let sql = "INSERT INTO letters (id, queue, component, kind, fingerprint, first_failed, last_failed, head, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        change.prepare_cached(sql).unwrap().execute(values).unwrap();
        entries.push(entry);
    }
    change.commit().unwrap();
    entries
}

async fn assert_all_there(store: &SqliteStore, entries: &[Entry]) {
    for queue in ["orders", "mails"] {
        let mine: Vec<Entry> = entries.iter().filter(|entry| &*entry.queue == queue).cloned().collect();
        assert_eq!(store.list(queue, &LetterFilter::all()).await.unwrap(), mine);
        assert_eq!(store.count(queue, &LetterFilter::all()).await.unwrap(), mine.len() as u64);
        let depth = store.depth(queue);
        assert_eq!(depth.waiting, mine.len() as u64);
        assert_eq!(depth.bytes, mine.iter().map(Entry::size).sum::<u64>());
    }
}

#[tokio::test]
async fn letters_of_version_1_are_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 20_000);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_all_there(&store, &entries).await;

    let of_one: Vec<&Entry> = entries
        .iter()
        .filter(|entry| &*entry.queue == "orders" && entry.fingerprint == entries[1].fingerprint)
        .collect();
    let groups =
        store.groups("orders", &LetterFilter::all().fingerprint(entries[1].fingerprint)).await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].letters, of_one.len() as u64);
    assert_eq!(Some(groups[0].first_seen), of_one.iter().map(|entry| entry.first_failed).min());
    assert_eq!(&groups[0].example, *of_one.last().unwrap());
    let timeouts = LetterFilter::all().kind(FailureKind::ALL[1]).component("component-1").limit(7);
    assert_eq!(store.list("orders", &timeouts).await.unwrap().len(), 7);
    let frequencies = store.frequencies("mails", Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(frequencies.iter().map(|one| one.failures).sum::<u64>(), 2_000);

    let limits = Limits { capacity: u64::MAX, bytes: u64::MAX, when_full: WhenFull::RefuseNew };
    let one_more = entry("orders", 1, SystemTime::now());
    assert_eq!(store.put(one_more.clone(), limits).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.get("orders", one_more.id).await.unwrap(), Some(one_more));
    // The depth includes the existing letters.
    assert_eq!(store.put(entries[3].clone(), limits).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.count("orders", &LetterFilter::all()).await.unwrap(), 18_001);
}

#[tokio::test]
async fn a_file_that_cannot_be_migrated_is_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    old(&path, 50);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE failures (mine)").unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((number("PRAGMA user_version"), number("SELECT count(*) FROM letters")), (1, 50));
    assert_eq!(number("SELECT sum(letters) FROM queues"), 50);
    assert!(!copy_of(&path).exists(), "the copy of a file that did not change takes room");

    connection.execute_batch("DROP TABLE failures").unwrap();
    assert_eq!(
        SqliteStore::open(&path).await.unwrap().count("mails", &LetterFilter::all()).await.unwrap(),
        5
    );
}

fn copy_of(path: &Path) -> std::path::PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(".v1");
    copy.into()
}

fn assert_is_old(path: &Path, letters: i64) {
    let connection = Connection::open(path).unwrap();
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 1);
    assert_eq!(number("PRAGMA application_id"), 0x4341_4d50);
    assert_eq!(number("SELECT count(*) FROM letters"), letters);
    assert_eq!(
        connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(),
        "ok"
    );
}

#[tokio::test]
async fn an_older_file_is_copied_for_its_owner_only_before_the_migration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 300);
    let before = SqliteStore::open(&path).await.unwrap();
    assert_all_there(&before, &entries).await;
    let copy = copy_of(&path);
    assert_is_old(&copy, 300);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(before);
    // A file of this version is not copied.
    std::fs::remove_file(&copy).unwrap();
    let again = SqliteStore::open(&path).await.unwrap();
    assert_all_there(&again, &entries).await;
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!copy.exists() && names.iter().all(|name| !name.to_string_lossy().contains(".v")), "{names:?}");
    drop(again);
    // The downgrade: the copy replaces the file.
    let fresh = folder.path().join("fresh.db");
    old(&fresh, 20);
    let store = SqliteStore::open(&fresh).await.unwrap();
    drop(store);
    assert_is_old(&copy_of(&fresh), 20);
}

#[tokio::test]
async fn a_file_that_cannot_be_copied_is_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 50);
    let in_the_way = folder.path().join("letters.db.v1.part");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    let said = error.to_string();
    assert!(error.is_unwritable() && said.contains("cannot copy") && said.contains("version 1"), "{said}");
    assert_is_old(&path, 50);
    std::fs::remove_dir(&in_the_way).unwrap();
    // A partial copy that a killed process left is replaced.
    std::fs::write(&in_the_way, "half of a copy").unwrap();
    assert_all_there(&SqliteStore::open(&path).await.unwrap(), &entries).await;
    assert!(!in_the_way.exists());
    assert_is_old(&copy_of(&path), 50);
}

#[tokio::test]
async fn two_processes_migrate_a_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 3_000);
    let children: Vec<_> = (0..3)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite_migration::child", "--nocapture"])
                .env(PATH, &path)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_all_there(&SqliteStore::open(&path).await.unwrap(), &entries).await;
    assert_is_old(&copy_of(&path), 3_000);
}

#[tokio::test]
async fn letters_of_an_older_file_with_later_times_are_dated_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    old(&path, 50);
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE letters SET last_failed = last_failed + 2592000000000", []).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.count("orders", &LetterFilter::older_than(Duration::ZERO)).await.unwrap(), 45);
    assert!(store.frequencies("orders", Duration::from_secs(60)).await.unwrap().is_empty());
    // A program of an older version that still has the file open can neither read nor write it.
    assert!(connection.prepare("SELECT letters FROM causes").is_err());
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let connection = Connection::open(&path).unwrap();
    let known = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap();
    connection.pragma_update(None, "user_version", known + 4).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path).await.unwrap_err();
    let said = error.to_string();
    assert!(error.is_newer_schema(), "{said}");
    for part in [format!("version {}", known + 4), format!("up to {known}"), "update campanile".to_owned()] {
        assert!(said.contains(&part), "{said}");
    }
}

/// Not a test: the child of the test below, which opens the file.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(SqliteStore::open(path)).unwrap();
}

#[tokio::test]
async fn p22_a_kill_during_a_migration_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 5_000);
    let version = || {
        let connection = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut kills = 0;
    while version() == 1 && kills < 30 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite_migration::child", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(10 + 5 * kills)).await;
        // The migration may be complete by now.
        let _ = child.kill();
        child.wait().unwrap();
        kills += 1;
        if version() == 1 {
            assert_is_old(&path, 5_000);
        }
    }
    assert!(kills > 1);
    assert_is_old(&copy_of(&path), 5_000);
    assert_all_there(&SqliteStore::open(&path).await.unwrap(), &entries).await;
}
