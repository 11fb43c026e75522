//! The cost of dead letters, compared with the limit of the disk: `cargo bench --bench dead_letters --all-features`.
//!
//! The raw limit is an append-only file with one `fdatasync` per group of concurrent records. It has no index, no order, and
//! nothing can be removed. Both run in turn, in one process and on one disk. Absolute numbers differ from machine to machine.
//! `CAMPANILE_BENCH_LETTERS` is the number of letters in the large file, one million by default.

#![allow(unsafe_code)] // `GlobalAlloc` needs it. The library forbids unsafe code.
#![allow(clippy::disallowed_methods)] // A bench reads the real clock.
#![allow(clippy::cast_precision_loss)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::store::{Entry, Fingerprint, LetterId, Limits, SqliteStore, Store, WhenFull};
use campanile::{DeadLetterQueue, FailureKind};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const CALLERS: usize = 64;
const ROUNDS: usize = 5;
const BODY: usize = 512;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    number: u64,
    text: String,
}

fn order(number: u64) -> Order {
    Order { number, text: "x".repeat(BODY) }
}

/// The size of a run. Tests use small ones.
struct Scale {
    /// How many letters each caller parks.
    each: usize,
    calls: u64,
    letters: u64,
}

// ===== the raw limit =====

/// An append-only file with group commit: one sync for all records that arrived during the previous one.
struct RawLog {
    records: mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>,
}

impl RawLog {
    fn open(path: &Path) -> Self {
        let mut file = File::create(path).expect("the folder exists");
        let (records, inbox) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>();
        std::thread::spawn(move || {
            while let Ok(first) = inbox.recv() {
                let mut group = vec![first];
                group.extend(inbox.try_iter());
                let bytes: Vec<u8> = group.iter().flat_map(|(record, _)| record).copied().collect();
                file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk has room");
                for (_, done) in group {
                    let _ = done.send(());
                }
            }
        });
        Self { records }
    }

    async fn append(&self, record: Vec<u8>) {
        let (done, answer) = oneshot::channel();
        self.records.send((record, done)).expect("the log is open");
        answer.await.expect("the log is open");
    }
}

/// Records per second that 64 callers append.
async fn raw_many(folder: &Path, scale: &Scale) -> f64 {
    let log = Arc::new(RawLog::open(&folder.join("raw.log")));
    let began = Instant::now();
    let each = scale.each;
    many(|_| {
        let log = Arc::clone(&log);
        async move {
            for _ in 0..each {
                log.append(vec![b'x'; BODY]).await;
            }
        }
    })
    .await;
    (CALLERS * each) as f64 / began.elapsed().as_secs_f64()
}

/// The median time of one append.
fn raw_one(folder: &Path, scale: &Scale) -> f64 {
    let mut file = File::create(folder.join("raw-one.log")).expect("the folder exists");
    let record = vec![b'x'; BODY];
    let times = (0..scale.each).map(|_| {
        let began = Instant::now();
        file.write_all(&record).and_then(|()| file.sync_data()).expect("the disk has room");
        began.elapsed().as_secs_f64()
    });
    median(times.collect())
}

// ===== parking =====

/// Runs `call` for each of 64 concurrent callers.
async fn many<F: Future<Output = ()> + Send + 'static>(call: impl Fn(usize) -> F) {
    let calls: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(caller))).collect();
    for call in calls {
        call.await.expect("no call panics");
    }
}

async fn queue(path: &Path) -> DeadLetterQueue {
    DeadLetterQueue::builder("orders")
        .capacity(100_000_000)
        .max_bytes(1 << 50)
        .park_timeout(Duration::from_secs(30))
        .sqlite(path)
        .await
        .expect("the folder exists")
}

/// A service that fails and parks every request.
fn failing(
    queue: &DeadLetterQueue,
) -> impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + use<> {
    queue
        .layer()
        .layer(service_fn(|order: Order| ready(Err::<(), _>(format!("no stock for {}", order.number % 7)))))
}

async fn assert_parked(queue: &DeadLetterQueue, letters: usize) {
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.parked, snapshot.late), (letters as u64, 0), "{snapshot:?}");
    assert_eq!(queue.len().await.expect("the store answers"), letters as u64);
}

/// Letters per second that 64 callers park.
async fn park_many(folder: &Path, scale: &Scale, round: usize) -> f64 {
    let queue = queue(&folder.join(format!("many-{round}.db"))).await;
    let service = failing(&queue);
    let each = scale.each;
    let began = Instant::now();
    many(|caller| {
        let service = service.clone();
        async move {
            for number in 0..each {
                let _ = service.clone().oneshot(order((caller * each + number) as u64)).await;
            }
        }
    })
    .await;
    let took = began.elapsed();
    assert_parked(&queue, CALLERS * each).await;
    (CALLERS * each) as f64 / took.as_secs_f64()
}

/// The median time until a single caller gets its error.
async fn park_one(folder: &Path, scale: &Scale, round: usize) -> f64 {
    let queue = queue(&folder.join(format!("one-{round}.db"))).await;
    let service = failing(&queue);
    let mut times = Vec::new();
    for number in 0..scale.each {
        let began = Instant::now();
        let _ = service.clone().oneshot(order(number as u64)).await;
        times.push(began.elapsed().as_secs_f64());
    }
    assert_parked(&queue, scale.each).await;
    median(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

// ===== requests that succeed =====

/// The nanoseconds and allocations of one call.
fn success<S, R>(mut service: S, request: impl Fn() -> R, calls: u64) -> (f64, f64)
where
    S: Service<R>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut run = |calls: u64| {
        let before = ALLOCATIONS.with(Cell::get);
        let began = Instant::now();
        for _ in 0..calls {
            let _ = service.poll_ready(&mut cx);
            let call = pin!(service.call(black_box(request())));
            assert!(matches!(black_box(call.poll(&mut cx)), Poll::Ready(Ok(_))));
        }
        let (took, count) = (began.elapsed(), ALLOCATIONS.with(Cell::get) - before);
        (took.as_nanos() as f64 / calls as f64, count as f64 / calls as f64)
    };
    run(calls / 10 + 1);
    let runs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| run(calls)).collect();
    (median(runs.iter().map(|run| run.0).collect()), runs[0].1)
}

fn take<B>(request: http::Request<B>) -> Ready<Result<http::Response<String>, BoxError>> {
    drop(request);
    ready(Ok(http::Response::new(String::new())))
}

fn successes(table: &mut Table, scale: &Scale) {
    let queue = DeadLetterQueue::in_memory(10);
    let inner = service_fn(|n: u64| ready(Ok::<_, BoxError>(n + 1)));
    let (bare, _) = success(inner, || 1, scale.calls);
    let (ours, allocations) = success(queue.layer().layer(inner), || 1, scale.calls);
    table.add("success, Copy request: ns above bare", ours - bare, bare, Bar::Most(15.0), Of::Ours);
    table.add("success, Copy request: allocations", allocations, 0.0, Bar::Most(0.0), Of::Ours);

    let request = || {
        http::Request::post("http://localhost/orders?page=1")
            .header("content-type", "application/json")
            .header("x-tenant", "acme")
            .body(http_body_util::Full::new(bytes::Bytes::from_static(&[b'x'; BODY])))
            .expect("the request is well formed")
    };
    let (bare, bare_allocations) = success(service_fn(take), request, scale.calls / 10);
    let (ours, allocations) = success(queue.http_layer().layer(service_fn(take)), request, scale.calls / 10);
    table.add("success, HTTP: ns above bare", ours - bare, bare, Bar::None, Of::Ours);
    table.add(
        "success, HTTP: allocations above bare",
        allocations - bare_allocations,
        bare_allocations,
        Bar::None,
        Of::Ours,
    );
}

// ===== a large file =====

/// A letter from the layer, as a template for many.
async fn template(folder: &Path) -> Entry {
    let queue = queue(&folder.join("template.db")).await;
    let _ = failing(&queue).oneshot(order(1)).await;
    drop(queue);
    let store = SqliteStore::open(folder.join("template.db")).await.expect("it is there");
    let mut entries = store.list("orders", &LetterFilter::all()).await.expect("the store answers");
    entries.pop().expect("one letter was parked")
}

/// Letter `number`: one of 12 causes, and one in a thousand is set aside.
fn letter(template: &Entry, number: u64) -> Entry {
    let (id, now) = (LetterId::new(), SystemTime::now());
    let (from, to) = (template.id.to_string(), id.to_string());
    let mut head = template.head.clone();
    if let Some(at) = head.windows(from.len()).position(|part| part == from.as_bytes()) {
        head[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    Entry {
        id,
        component: format!("component-{}", number % 4).into(),
        kind: FailureKind::ALL[(number % 3) as usize],
        fingerprint: Fingerprint::from_bits(number % 12),
        first_failed: now,
        last_failed: now,
        set_aside: number % 1_000 == 999,
        head,
        ..template.clone()
    }
}

async fn fill(store: &SqliteStore, template: &Arc<Entry>, letters: u64) {
    let limits = Limits { capacity: u64::MAX, bytes: u64::MAX, when_full: WhenFull::RefuseNew };
    let callers = 256;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (store, template) = (store.clone(), Arc::clone(template));
            tokio::spawn(async move {
                for number in (caller..letters).step_by(callers as usize) {
                    store.put(letter(&template, number), limits).await.expect("the disk has room");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
}

/// The median time of a few runs of `work`, in milliseconds.
async fn millis<T>(work: impl AsyncFn() -> T) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        black_box(work().await);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    median(times)
}

async fn large(table: &mut Table, folder: &Path, scale: &Scale) {
    let path = folder.join("large.db");
    let template = Arc::new(template(folder).await);
    let store = SqliteStore::open(&path).await.expect("the folder exists");
    let began = Instant::now();
    fill(&store, &template, scale.letters).await;
    println!("stored {} letters in {:.1} s", scale.letters, began.elapsed().as_secs_f64());

    let some = store.list("orders", &LetterFilter::all().limit(1_000)).await.expect("the store answers");
    let id = some[some.len() / 2].id;
    let page = |filter: LetterFilter| filter.limit(100);
    for (name, filter) in [
        ("no filter", LetterFilter::all()),
        ("id", LetterFilter::id(id)),
        ("component", LetterFilter::all().component("component-3")),
        ("kind", LetterFilter::all().kind(FailureKind::ALL[2])),
        ("fingerprint", LetterFilter::all().fingerprint(Fingerprint::from_bits(7))),
        ("older than an hour (none)", LetterFilter::older_than(Duration::from_secs(3_600))),
        ("older than nothing (all)", LetterFilter::older_than(Duration::ZERO)),
        ("newer than an hour (all)", LetterFilter::all().newer_than(Duration::from_secs(3_600))),
        ("set aside", LetterFilter::all().set_aside(true)),
        ("a component, set aside", LetterFilter::all().set_aside(true).component("component-3")),
        ("after a letter", LetterFilter::all().after(id)),
    ] {
        let filter = page(filter);
        let took = millis(async || store.list("orders", &filter).await.expect("the store answers")).await;
        table.add(&format!("first page, {name}: ms"), took, 0.0, Bar::Most(10.0), Of::Ours);
    }
    let all = LetterFilter::all();
    let took = millis(async || store.groups("orders", &all).await.expect("the store answers")).await;
    table.add("groups: ms", took, 0.0, Bar::Most(100.0), Of::Ours);
    let old = LetterFilter::older_than(Duration::ZERO);
    let took = millis(async || store.groups("orders", &old).await.expect("the store answers")).await;
    table.add("groups of a filter without an index: ms", took, 0.0, Bar::None, Of::Ours);
    drop(store);
    // The last connection to close removes the log. Opening the file during that would wait.
    while path.with_extension("db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = millis(async || SqliteStore::open(&path).await.expect("it is there")).await;
    table.add("open: ms", took, 0.0, Bar::Most(200.0), Of::Ours);

    redrive_all(table, &path, scale).await;
}

async fn redrive_all(table: &mut Table, path: &Path, scale: &Scale) {
    let queue = queue(path).await;
    let service = service_fn(|order: Order| {
        black_box(order);
        ready(Ok::<_, BoxError>(()))
    });
    let began = Instant::now();
    let report = queue.redrive(service, Redrive::all().concurrency(64)).await.expect("the store answers");
    let took = began.elapsed().as_secs_f64();
    assert_eq!(report.redriven, scale.letters - scale.letters / 1_000, "{report:?}");
    let rate = report.redriven as f64 / took;
    table.add("redrive to a no-op service: letters/s", rate, 0.0, Bar::Least(20_000.0), Of::Ours);

    let store = SqliteStore::open(path).await.expect("it is there");
    let live = store.list("orders", &LetterFilter::all()).await.expect("the store answers");
    // The size of a file with the remaining letters only.
    let fresh = path.with_file_name("fresh.db");
    let other = SqliteStore::open(&fresh).await.expect("the folder exists");
    let limits = Limits { capacity: u64::MAX, bytes: u64::MAX, when_full: WhenFull::RefuseNew };
    let puts = live.iter().map(|entry| other.put(entry.clone(), limits));
    for put in puts {
        put.await.expect("the disk has room");
    }
    // The stores compact their files when idle. Waits until the sizes stay the same.
    let (mut sizes, mut still) = ((0, 0), 0);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = (weigh(path), weigh(&fresh));
        still = if now == sizes { still + 1 } else { 0 };
        sizes = now;
        if still == 10 {
            break;
        }
    }
    let (size, least) = sizes;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    table.add("file after redriving: MiB", mib(size), mib(least), Bar::Most(2.0), Of::Ratio);
}

/// The size of a file and its log.
fn weigh(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    size(path) + size(&path.with_extension("db-wal"))
}

// ===== the table =====

/// The aim for a value.
enum Bar {
    Least(f64),
    Most(f64),
    None,
}

/// The value that the aim applies to.
enum Of {
    Ours,
    Ratio,
}

#[derive(Default)]
struct Table {
    missed: usize,
    rows: Vec<String>,
}

impl Table {
    fn add(&mut self, case: &str, ours: f64, raw: f64, bar: Bar, of: Of) {
        let ratio = if raw > 0.0 { ours / raw } else { f64::NAN };
        let value = if matches!(of, Of::Ratio) { ratio } else { ours };
        let (bar, met) = match bar {
            Bar::Least(least) => (format!("≥ {least}"), value >= least),
            Bar::Most(most) => (format!("≤ {most}"), value <= most),
            Bar::None => (String::new(), true),
        };
        let verdict = match (bar.is_empty(), met) {
            (true, _) => "",
            (_, true) => "met",
            (_, false) => "MISSED",
        };
        self.missed += usize::from(!met);
        let number = |value: f64| {
            if value.is_nan() || (value == 0.0 && raw == 0.0 && ours != 0.0) {
                String::new()
            } else {
                format!("{value:.2}")
            }
        };
        let row = format!(
            "| {case:45} | {:>10} | {:>10} | {:>6} | {bar:>7} | {verdict:6} |",
            number(ours),
            number(raw),
            number(ratio)
        );
        println!("{row}");
        self.rows.push(row);
    }
}

async fn run(scale: Scale) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let folder = folder.path();
    let mut table = Table::default();
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let (mut ours_one, mut raw_ones) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        raw.push(raw_many(folder, &scale).await);
        ours.push(park_many(folder, &scale, round).await);
        raw_ones.push(raw_one(folder, &scale) * 1e6);
        ours_one.push(park_one(folder, &scale, round).await * 1e6);
    }
    table.add("64 callers: letters/s", median(ours), median(raw), Bar::Least(0.5), Of::Ratio);
    table.add("one caller: median µs", median(ours_one), median(raw_ones), Bar::Most(1.5), Of::Ratio);
    successes(&mut table, &scale);
    large(&mut table, folder, &scale).await;

    println!(
        "\n| {:45} | {:>10} | {:>10} | {:>6} | {:>7} | {:6} |",
        "case", "ours", "raw", "ratio", "aim", ""
    );
    println!(
        "|{}|{}|{}|{}|{}|{}|",
        "-".repeat(47),
        "-".repeat(12),
        "-".repeat(12),
        "-".repeat(8),
        "-".repeat(9),
        "-".repeat(8)
    );
    table.rows.iter().for_each(|row| println!("{row}"));
    println!("\n{} aims missed", table.missed);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let scale = if std::env::args().any(|argument| argument == "--bench") {
        let letters = std::env::var("CAMPANILE_BENCH_LETTERS");
        let letters = letters
            .map_or(1_000_000, |letters| letters.parse().expect("CAMPANILE_BENCH_LETTERS is a number"));
        Scale { each: 300, calls: 1_000_000, letters }
    } else {
        // Without `--bench`, this only tests that the bench runs.
        Scale { each: 2, calls: 100, letters: 2_000 }
    };
    runtime.block_on(run(scale));
}
