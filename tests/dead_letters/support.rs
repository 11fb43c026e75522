//! A request, a service that fails, and a store that misbehaves on demand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DropReason, LetterFilter, LetterId};
use campanile::store::{
    Claim, Depth, Entry, Frequency, Group, Limits, MemoryStore, Owner, Pending, PurgeRecord, Put, Settled,
    Store, StoreError,
};
use serde::{Deserialize, Serialize};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) item: String,
}

pub(crate) fn order(number: u32) -> Order {
    Order { number, item: "bell".to_owned() }
}

/// A queue in a file, with the longest park timeout, so that a busy machine does not make a letter late.
#[cfg(feature = "sqlite")]
pub(crate) async fn open(path: &std::path::Path) -> DeadLetterQueue {
    DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30)).sqlite(path).await.unwrap()
}

/// Sends one order through the layer of `queue` to a service that fails it.
pub(crate) async fn fail(queue: &DeadLetterQueue, number: u32) -> BoxError {
    let service =
        service_fn(|order: Order| async move { Err::<(), _>(format!("order {} refused", order.number)) });
    queue.layer().layer(service).oneshot(order(number)).await.unwrap_err()
}

/// The numbers of the orders that wait, oldest first.
pub(crate) async fn waiting(queue: &DeadLetterQueue) -> Vec<u64> {
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    letters
        .iter()
        .map(|letter| match &letter.payload {
            campanile::dead_letter::Payload::Value(value) => value["number"].as_u64().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Every final failure is parked, dropped for a reason, or on its way.
#[track_caller]
pub(crate) fn assert_accounted(
    queue: &DeadLetterQueue,
    failures: u64,
    parked: u64,
    dropped: Option<(DropReason, u64)>,
) {
    let snapshot = queue.snapshot();
    assert_eq!(
        snapshot.failures,
        snapshot.parked + snapshot.dropped_total() + snapshot.parking,
        "{snapshot:?}"
    );
    assert_eq!((snapshot.failures, snapshot.parked), (failures, parked), "{snapshot:?}");
    assert!(snapshot.parking > 0 || snapshot.parking_bytes == 0, "{snapshot:?}");
    assert_eq!(snapshot.dropped_total(), dropped.map_or(0, |(_, count)| count), "{snapshot:?}");
    if let Some((reason, count)) = dropped {
        assert_eq!(snapshot.dropped(reason), count, "{snapshot:?}");
    }
}

/// Overwrites all pages of a file but the first, which has the header. Another process does it, because this one would lose
/// its locks on the file.
#[cfg(feature = "sqlite")]
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) fn damage(path: &std::path::Path) {
    let length = usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap();
    let nonsense = path.with_extension("nonsense");
    std::fs::write(&nonsense, vec![0xa5; length - 4_096]).unwrap();
    let mut dd = std::process::Command::new("dd");
    dd.args(["bs=4096", "seek=1", "conv=notrunc", "status=none"]);
    dd.arg(format!("if={}", nonsense.display())).arg(format!("of={}", path.display()));
    assert!(dd.status().unwrap().success());
    std::fs::remove_file(nonsense).unwrap();
}

/// The bytes of a file that may be open here. Another process reads them, because this one would lose its locks. Empty
/// if the file was removed.
#[cfg(feature = "sqlite")]
pub(crate) fn bytes(path: &std::path::Path) -> Option<Vec<u8>> {
    let read = std::process::Command::new("cat").arg(path).output().unwrap();
    read.status.success().then_some(read.stdout)
}

/// What a store does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    /// Answers after this time.
    Slow(Duration),
    Hangs,
    Fails,
    PanicsAtOnce,
    PanicsLater,
    /// Takes letters and shows none.
    ReadsPanic,
    /// Fails for letters of more than 10,000 bytes.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    RefusesLarge,
}

#[derive(Clone, Debug)]
pub(crate) struct MoodyStore {
    inner: Arc<dyn Store>,
    mood: Arc<Mutex<Mood>>,
    /// Whether results of letters can be recorded.
    pub(crate) settles: Arc<AtomicBool>,
    /// How many failed letters one write may record, if removals are recorded.
    pub(crate) failures_taken: Arc<AtomicU64>,
    /// How long recording takes, in milliseconds.
    settle_time: Arc<AtomicU64>,
    /// How long renewing a lease takes, in milliseconds.
    renew_time: Arc<AtomicU64>,
}

impl MoodyStore {
    pub(crate) fn new(mood: Mood) -> Self {
        Self::over(MemoryStore::default(), mood)
    }

    /// A store with the letters of another store.
    pub(crate) fn over(store: impl Store, mood: Mood) -> Self {
        Self {
            inner: Arc::new(store),
            mood: Arc::new(Mutex::new(mood)),
            settles: Arc::new(AtomicBool::new(true)),
            failures_taken: Arc::new(AtomicU64::new(u64::MAX)),
            settle_time: Arc::default(),
            renew_time: Arc::default(),
        }
    }

    pub(crate) fn renew_time(&self, time: Duration) {
        self.renew_time.store(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn settle_time(&self, time: Duration) {
        self.settle_time.store(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl MoodyStore {
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

/// Waits until another task or thread makes the condition true.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(crate) async fn until(what: &str, is: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}");
}

impl Store for MoodyStore {
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put> {
        assert_ne!(self.mood(), Mood::PanicsAtOnce, "on purpose");
        Box::pin(async move {
            match self.mood() {
                Mood::Fine | Mood::PanicsAtOnce | Mood::ReadsPanic => {}
                Mood::Slow(time) => tokio::time::sleep(time).await,
                Mood::Hangs => std::future::pending().await,
                Mood::RefusesLarge if entry.size() <= 10_000 => {}
                Mood::Fails | Mood::RefusesLarge => return Err(StoreError::other("the disk is on fire")),
                Mood::PanicsLater => {
                    tokio::task::yield_now().await;
                    panic!("on purpose");
                }
            }
            self.inner.put(entry, limits).await
        })
    }

    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>> {
        self.inner.get(queue, id)
    }

    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
        if self.mood() == Mood::ReadsPanic {
            return Box::pin(async { panic!("on purpose") });
        }
        self.inner.list(queue, filter)
    }

    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64> {
        assert_ne!(self.mood(), Mood::ReadsPanic, "on purpose");
        self.inner.count(queue, filter)
    }

    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
        self.inner.groups(queue, filter)
    }

    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>> {
        self.inner.frequencies(queue, last)
    }

    fn claim<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a LetterFilter,
        claim: Claim,
    ) -> Pending<'a, Vec<Entry>> {
        self.inner.claim(queue, filter, claim)
    }

    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>> {
        Box::pin(async move {
            let time = self.renew_time.load(Ordering::SeqCst);
            if time > 0 {
                tokio::time::sleep(Duration::from_millis(time)).await;
            }
            self.inner.renew(queue, ids, claim).await
        })
    }

    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>> {
        let failures = settled.iter().filter(|settled| matches!(settled, Settled::Failed(_))).count() as u64;
        let taken = failures <= self.failures_taken.load(Ordering::SeqCst);
        if self.settles.load(Ordering::SeqCst) && taken {
            Box::pin(async move {
                let time = self.settle_time.load(Ordering::SeqCst);
                if time > 0 {
                    tokio::time::sleep(Duration::from_millis(time)).await;
                }
                self.inner.settle(queue, owner, settled).await
            })
        } else {
            Box::pin(async { Err(StoreError::other("the disk is on fire")) })
        }
    }

    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord> {
        self.inner.purge(queue, record)
    }

    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
        self.inner.purges(queue)
    }

    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64> {
        self.inner.expire(queue, now)
    }

    fn depth(&self, queue: &str) -> Depth {
        assert_ne!(self.mood(), Mood::PanicsAtOnce, "on purpose");
        self.inner.depth(queue)
    }
}

pub(crate) async fn call<S, Req>(service: &mut S, request: Req) -> Result<S::Response, S::Error>
where
    S: Service<Req>,
{
    service.ready().await?.call(request).await
}

/// Collects the log of the crate, one line for each event.
#[derive(Clone)]
pub(crate) struct LogLines {
    level: Level,
    lines: Arc<Mutex<Vec<String>>>,
}

impl LogLines {
    /// Events of this level and of more severe ones.
    pub(crate) fn at(level: Level) -> Self {
        Self { level, lines: Arc::default() }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Visit for LogLines {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.lines.lock().unwrap().last_mut().unwrap().push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("campanile")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.lines.lock().unwrap().push(String::new());
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
