//! Connections in order.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use campanile::fallback::{AlternativeFailure, Alternatives, AlternativesBuilder, AlternativesError};
use campanile::{Backoff, Jitter, Outcome, TimedOut};
use tokio::time::{Instant, advance, timeout};

use crate::support::{Count, Events, secs};

/// A server that can be broken: its connections fail, and so do connects.
#[derive(Clone, Default)]
struct Server {
    broken: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    connects: Count,
    connecting: Arc<AtomicUsize>,
    most_connecting: Arc<AtomicUsize>,
}

impl Server {
    fn set(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
    }

    async fn connect(self, name: &'static str) -> io::Result<Connection> {
        self.connects.add();
        let now = self.connecting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_connecting.fetch_max(now, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            let _ended = Ended(&self.connecting);
            pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.connecting.fetch_sub(1, Ordering::SeqCst);
        self.check()?;
        Ok(Connection { name, server: self })
    }
}

struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Connection {
    name: &'static str,
    server: Server,
}

impl Connection {
    async fn ask(self) -> io::Result<&'static str> {
        self.server.check().map(|()| self.name)
    }
}

#[derive(Clone, Default)]
struct Servers {
    primary: Server,
    replica: Server,
    file: Server,
}

impl Servers {
    fn builder(&self) -> AlternativesBuilder<Connection> {
        let Self { primary, replica, file } = self.clone();
        Alternatives::builder("db")
            .connect_timeout(secs(2))
            .backoff(Backoff::exponential(secs(1), secs(8)).jitter(Jitter::None))
            .add("primary", move || primary.clone().connect("primary"))
            .add("replica", move || replica.clone().connect("replica"))
            .add("file", move || file.clone().connect("file"))
    }

    fn alternatives(&self) -> Alternatives<Connection> {
        self.builder().build().unwrap()
    }
}

async fn ask(db: &Alternatives<Connection>) -> &'static str {
    db.call(Connection::ask).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_that_works_is_used_and_kept() {
    let servers = Servers::default();
    let db = servers.alternatives();
    for _ in 0..3 {
        assert_eq!(ask(&db).await, "primary");
    }
    assert_eq!((servers.primary.connects.get(), servers.replica.connects.get()), (1, 0));
    let snapshot = db.snapshot();
    assert_eq!((&*snapshot.in_use, snapshot.changes, snapshot.alternatives[0].calls), ("primary", 0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_leads_to_the_next_and_a_probe_goes_back() {
    let (servers, events) = (Servers::default(), Events::default());
    let _listening = events.listen();
    let db = servers.alternatives();
    assert_eq!(ask(&db).await, "primary");
    servers.primary.set(true);
    for _ in 0..5 {
        assert_eq!(ask(&db).await, "replica");
    }
    assert_eq!(servers.primary.connects.get(), 1, "it is left alone during its backoff");
    assert_eq!(db.snapshot().in_use, "replica");
    assert!(db.snapshot().alternatives[0].next_probe_in.is_some_and(|wait| wait <= secs(1)));

    // It is still broken at the first probe, which costs one connect; the next one comes later.
    advance(secs(1)).await;
    for _ in 0..5 {
        assert_eq!(ask(&db).await, "replica");
    }
    assert_eq!(servers.primary.connects.get(), 2);
    servers.primary.set(false);
    advance(secs(1)).await;
    assert_eq!(ask(&db).await, "replica", "the backoff has doubled");
    advance(secs(1)).await;
    assert_eq!(ask(&db).await, "primary");
    assert_eq!(ask(&db).await, "primary");

    let snapshot = db.snapshot();
    assert_eq!((&*snapshot.in_use, snapshot.changes), ("primary", 2));
    assert_eq!(snapshot.alternatives[0].next_probe_in, None);
    let events = events.take();
    assert_eq!(events.len(), 2, "one line for each change: {events:?}");
    assert!(events[0].starts_with("WARN") && events[0].contains("to=\"replica\""), "{events:?}");
    assert!(events[1].starts_with("INFO") && events[1].contains("to=\"primary\""), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn one_caller_probes_and_the_others_are_not_held_up() {
    let servers = Servers::default();
    servers.primary.set(true);
    let db = servers.alternatives();
    assert_eq!(ask(&db).await, "replica");
    servers.primary.hangs.store(true, Ordering::SeqCst);
    advance(secs(1)).await;
    let began = Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { (ask(&db).await, Instant::now()) })
        })
        .collect();
    let mut slow = 0;
    for call in calls {
        let (answer, ended) = call.await.unwrap();
        assert_eq!(answer, "replica");
        slow += usize::from(ended - began >= secs(2));
    }
    assert_eq!((slow, servers.primary.connects.get()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_hangs_ends_at_its_limit() {
    let servers = Servers::default();
    servers.primary.hangs.store(true, Ordering::SeqCst);
    let db = servers.alternatives();
    let began = Instant::now();
    // All of them wait for one connect, and share its end.
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { ask(&db).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "replica");
    }
    assert!(began.elapsed() < secs(3));
    assert_eq!((servers.primary.connects.get(), servers.replica.connects.get()), (1, 1));
    assert_eq!(servers.primary.connecting.load(Ordering::SeqCst), 0, "it was dropped");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_does_not_block_the_way_back() {
    let servers = Servers::default();
    servers.primary.set(true);
    let db = servers.alternatives();
    assert_eq!(ask(&db).await, "replica");
    servers.primary.hangs.store(true, Ordering::SeqCst);
    advance(secs(1)).await;
    assert!(timeout(Duration::from_millis(100), ask(&db)).await.is_err(), "the prober is dropped");
    servers.primary.hangs.store(false, Ordering::SeqCst);
    servers.primary.set(false);
    assert_eq!(ask(&db).await, "replica");
    advance(secs(2)).await;
    assert_eq!(ask(&db).await, "primary");
}

#[tokio::test(start_paused = true)]
async fn all_errors_are_told_if_none_works_the_first_one_first() {
    let servers = Servers::default();
    let db = servers.alternatives();
    assert_eq!(ask(&db).await, "primary");
    servers.primary.set(true);
    servers.replica.hangs.store(true, Ordering::SeqCst);
    servers.file.set(true);
    let error = db.call(Connection::ask).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no alternative works: `primary`: connection refused; \
         `replica`: no connection: a connect timed out after 2s (`connect_timeout`); \
         `file`: no connection: connection refused"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "connection refused");
    let AlternativesError::NoneWorks(failures) = error else { panic!("{error}") };
    assert!(
        matches!(&failures[0].1, AlternativeFailure::Call(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    );
    assert!(matches!(&failures[1].1, AlternativeFailure::Connect(error) if error.is::<TimedOut>()));
    assert_eq!(db.snapshot().exhausted, 1);

    // All of them wait, and are tried nevertheless: one connect at a time.
    servers.primary.set(false);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { ask(&db).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "primary");
    }
    assert_eq!(servers.primary.most_connecting.load(Ordering::SeqCst), 1);
    assert_eq!(servers.primary.connects.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_an_answer_stays_with_its_alternative() {
    let db = Servers::default().alternatives();
    let mut calls = 0;
    let error = db
        .call(|_| {
            calls += 1;
            async { Err::<(), _>("the row exists already") }
        })
        .await
        .unwrap_err();
    assert_eq!(error.into_inner(), Some("the row exists already"));
    assert_eq!((calls, &*db.snapshot().in_use), (1, "primary"));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_decides_what_leads_to_the_next() {
    let db = Servers::default().alternatives();
    let read_only = |result: Result<&&'static str, &&'static str>| match result {
        Err(&"read only") | Ok(&"empty") => Outcome::Failure(campanile::FailureKind::Error),
        _ => Outcome::Success,
    };
    let answer = db
        .call_with(read_only, |connection| async move {
            match connection.name {
                "primary" => Err("read only"),
                "replica" => Ok("empty"),
                name => Ok(name),
            }
        })
        .await;
    assert_eq!(answer.unwrap(), "file");
    // A failed answer is returned if there is no better one.
    let empty = db.call_with(read_only, |_| async { Ok("empty") }).await;
    assert_eq!(empty.unwrap(), "empty");
}

#[tokio::test(start_paused = true)]
async fn the_failures_of_calls_on_one_connection_count_once() {
    let servers = Servers::default();
    let db = servers.alternatives();
    assert_eq!(ask(&db).await, "primary");
    servers.primary.set(true);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { ask(&db).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "replica");
    }
    let snapshot = db.snapshot();
    assert!(snapshot.alternatives[0].next_probe_in.is_some_and(|wait| wait <= secs(1)), "{snapshot:?}");
    assert_eq!((snapshot.changes, servers.replica.connects.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_on_an_earlier_connection_changes_nothing() {
    let servers = Servers::default();
    let db = servers.alternatives();
    let slow = tokio::spawn({
        let db = db.clone();
        async move {
            let work = |connection: Connection| async move {
                if connection.name == "primary" {
                    tokio::time::sleep(secs(60)).await;
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset));
                }
                Ok(connection.name)
            };
            db.call(work).await.unwrap()
        }
    });
    tokio::time::sleep(secs(1)).await;
    servers.primary.set(true);
    assert_eq!(ask(&db).await, "replica");
    servers.primary.set(false);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(ask(&db).await, "primary");
    assert_eq!(slow.await.unwrap(), "replica");
    let snapshot = db.snapshot();
    assert_eq!((&*snapshot.in_use, snapshot.changes), ("primary", 2));
    assert_eq!(ask(&db).await, "primary");
    assert_eq!(servers.primary.connects.get(), 2, "the new connection stays");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_panics_is_a_failure() {
    let db = Alternatives::<u32>::builder("db")
        .add("primary", || async {
            if true {
                panic!("on purpose")
            }
            Ok::<_, io::Error>(1)
        })
        .add("file", || async { Ok::<_, io::Error>(2) })
        .build()
        .unwrap();
    assert_eq!(db.call(|n| async move { Ok::<_, io::Error>(n) }).await.unwrap(), 2);
}
