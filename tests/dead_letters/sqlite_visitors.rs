//! A second handle, a check or another process opens and closes the file while letters are parked. None may release
//! the locks of the others. Otherwise the next one that closes the file removes the log and the letters in it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use campanile::store::{SqliteStore, Store};
use rusqlite::Connection;

use crate::store_checks::{entry, put};
use crate::support::{fail, open, waiting};

const PATH: &str = "CAMPANILE_TEST_VISITED_LETTERS";

/// Not a test: the process that parks, and opens the file several times itself.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = open(&path).await;
        #[cfg(feature = "checks")]
        let check = campanile::health::SqliteCheck::builder(&path).build().unwrap();
        for number in 0_u64.. {
            fail(&queue, u32::try_from(number).unwrap()).await;
            std::io::stdout().lock().write_all(format!("parked {number}\n").as_bytes()).unwrap();
            match number % 3 {
                0 => drop(SqliteStore::open(&path).await.unwrap()),
                #[cfg(feature = "checks")]
                1 => assert_eq!(
                    campanile::health::Check::check(&check).await,
                    campanile::health::Finding::Pass
                ),
                _ => {}
            }
        }
    });
}

#[tokio::test]
async fn p22_processes_that_open_and_close_a_file_lose_no_letter() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite_visitors::child", "--nocapture", "--test-threads=1"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (said, heard) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, number)) = line.rsplit_once("parked ") {
                    said.send(number.parse::<u64>().unwrap()).unwrap();
                }
            }
        });
        let mut parked = BTreeSet::from([heard.recv().expect("the child ended by itself")]);
        let log = || std::fs::metadata(folder.path().join("letters.db-wal")).unwrap().ino();
        let first = log();
        // As `sqlite3 letters.db "SELECT …"` does, which removes the log when it seems to be the last connection.
        for _ in 0..20 {
            let visitor = Connection::open(&path).unwrap();
            let count = visitor.query_row("SELECT count(*) FROM letters", [], |row| row.get::<_, i64>(0));
            assert!(count.unwrap() >= parked.len() as i64);
            visitor.close().unwrap();
            assert_eq!(log(), first, "it was taken for the last one who has the file open");
            parked.insert(heard.recv().expect("the child ended by itself"));
        }
        child.kill().unwrap();
        assert!(child.wait().unwrap().code().is_none(), "it was to be killed");
        reader.join().unwrap();
        parked.extend(heard.iter());
        let there: BTreeSet<u64> = waiting(&open(&path).await).await.into_iter().collect();
        assert!(parked.is_subset(&there), "gone: {:?}", parked.difference(&there).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn handles_on_one_file_share_it_by_any_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let (link, hard, around) =
        (folder.path().join("link.db"), folder.path().join("hard.db"), folder.path().join("more"));
    std::fs::create_dir(&around).unwrap();
    let first = SqliteStore::open(&path).await.unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    let queue = "orders".into();
    let mut letters = Vec::new();
    for path in [path.clone(), link, hard.clone(), around.join("../letters.db")] {
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.path(), std::path::absolute(&path).unwrap());
        let letter = entry(&queue);
        put(&store, &letter).await;
        letters.push(letter.id);
        // A commit by one handle is visible to the others at once, because they share the store.
        assert_eq!(first.depth(&queue).waiting, letters.len() as u64);
    }
    // Two names would give the file two logs.
    assert!(!folder.path().join("hard.db-wal").exists());
    for letter in letters {
        assert!(first.get(&queue, letter).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn concurrent_opens_of_a_new_file_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let opening: Vec<_> = (0..16).map(|_| tokio::spawn(SqliteStore::open(path.clone()))).collect();
    let queue = "orders".into();
    let mut stores = Vec::new();
    for store in opening {
        stores.push(store.await.unwrap().unwrap());
    }
    for store in &stores {
        put(store, &entry(&queue)).await;
    }
    assert!(stores.iter().all(|store| store.depth(&queue).waiting == 16));
    // The last handle closes the file.
    drop(stores);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.depth(&queue).waiting, 16);
}
