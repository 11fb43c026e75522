//! Files that older versions wrote.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::store::{Entry, Filter, Fingerprint, LetterId, Limits, Put, SqliteStore, Store, WhenFull};
use rusqlite::{Connection, params};

const PATH: &str = "CAMPANILE_TEST_OLD_LETTERS";

/// The schema of version 1, to the letter.
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

/// A file of version 1 with so many letters.
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
        assert_eq!(store.list(queue, &Filter::all()).await.unwrap(), mine);
        assert_eq!(store.count(queue, &Filter::all()).await.unwrap(), mine.len() as u64);
        let depth = store.depth(queue);
        assert_eq!(depth.waiting, mine.len() as u64);
        assert_eq!(depth.bytes, mine.iter().map(Entry::size).sum::<u64>());
    }
}

#[tokio::test]
async fn letters_of_version_1_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let entries = old(&path, 20_000);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_all_there(&store, &entries).await;

    let of_one: Vec<&Entry> = entries
        .iter()
        .filter(|entry| &*entry.queue == "orders" && entry.fingerprint == entries[1].fingerprint)
        .collect();
    let groups = store.groups("orders", &Filter::all().fingerprint(entries[1].fingerprint)).await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].letters, of_one.len() as u64);
    assert_eq!(Some(groups[0].first_seen), of_one.iter().map(|entry| entry.first_failed).min());
    assert_eq!(&groups[0].example, *of_one.last().unwrap());
    let timeouts = Filter::all().kind(FailureKind::ALL[1]).component("component-1").limit(7);
    assert_eq!(store.list("orders", &timeouts).await.unwrap().len(), 7);
    let frequencies = store.frequencies("mails", Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(frequencies.iter().map(|one| one.failures).sum::<u64>(), 2_000);

    let limits = Limits { capacity: u64::MAX, bytes: u64::MAX, when_full: WhenFull::RefuseNew };
    let one_more = entry("orders", 1, SystemTime::now());
    assert_eq!(store.put(one_more.clone(), limits).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.get("orders", one_more.id).await.unwrap(), Some(one_more));
    // The letters that are there already are known.
    assert_eq!(store.put(entries[3].clone(), limits).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.count("orders", &Filter::all()).await.unwrap(), 18_001);
}

#[tokio::test]
async fn a_file_that_cannot_be_brought_up_to_date_stays_as_it_was() {
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

    connection.execute_batch("DROP TABLE failures").unwrap();
    assert_eq!(SqliteStore::open(&path).await.unwrap().count("mails", &Filter::all()).await.unwrap(), 5);
}

/// Not a test of its own: the child of the one below, opening the file.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(SqliteStore::open(path)).unwrap();
}

#[tokio::test]
async fn p22_a_kill_amid_the_change_of_a_schema_loses_nothing() {
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
        // It may be done by now.
        let _ = child.kill();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 1);
    assert_all_there(&SqliteStore::open(&path).await.unwrap(), &entries).await;
}
