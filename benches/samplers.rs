//! The cost of samplers, compared with `opentelemetry-system-metrics`: `cargo bench --bench samplers --all-features`. Linux
//! only.
//!
//! Each case runs in an otherwise idle process of its own. The result is the CPU time of all threads except the measuring one,
//! for one interval between readings. It includes wake-ups and the work of the runtime. Ours and the peer run at the same time.
//! Compare medians of one run; absolute numbers differ from machine to machine. Run a part with
//! `cargo bench --bench samplers -- tick` (or `gpu`, `steady`, `export`).

#![allow(unsafe_code)] // `GlobalAlloc` needs it. The library forbids unsafe code.
#![allow(clippy::disallowed_methods)] // A bench reads the real clock.
#![allow(clippy::cast_precision_loss)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use campanile::Telemetry;
use campanile::sampler::{Sampler, SamplerSettings};
use peer_api::metrics::MeterProvider as _;
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "gpu")]
#[allow(dead_code)]
#[path = "../tests/support/fake_gpus.rs"]
mod fake_gpus;

/// The variable for a child process: the case, the interval in milliseconds, and the number of readings.
const CASE: &str = "CAMPANILE_BENCH_SAMPLERS";
/// The peer reads its interval from this variable only.
const PEER_INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
/// The number of GPUs in the case with many of them.
#[cfg(feature = "gpu")]
const GPUS: u32 = 8;
/// Readings that are not counted, because the first ones allocate what later ones reuse.
const WARM_UP: usize = 3;

// ===== the counting allocator =====

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Set on the measuring thread, whose allocations do not count.
    static MEASURES: Cell<bool> = const { Cell::new(false) };
}

fn allocated(bytes: usize) {
    if !MEASURES.try_with(Cell::get).unwrap_or(true) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The whole new size counts, because the old part may have to be copied.
        allocated(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The CPU time of each other thread of this process, in nanoseconds.
fn processor_times() -> BTreeMap<u64, u64> {
    let own = u64::from(process::id());
    let threads = fs::read_dir("/proc/self/task").expect("Linux has it");
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?;
            let id: u64 = thread.file_name().to_str()?.parse().ok()?;
            // The main thread measures.
            (id != own).then_some(())?;
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((id, times.split(' ').next()?.parse().ok()?))
        })
        .collect()
}

/// The cost of one reading.
#[derive(Clone, Copy)]
struct Cost {
    nanos: u64,
    bytes: u64,
    allocations: u64,
}

#[derive(Clone)]
struct Seen {
    times: BTreeMap<u64, u64>,
    bytes: u64,
    allocations: u64,
}

impl Seen {
    fn now() -> Self {
        Self {
            times: processor_times(),
            bytes: BYTES.load(Ordering::Relaxed),
            allocations: ALLOCATIONS.load(Ordering::Relaxed),
        }
    }

    fn since(&self, before: &Self) -> Cost {
        // The time of a thread that ended is lost. The threads of ours and of the peer do not end.
        let nanos = self.times.iter().map(|(id, time)| time - before.times.get(id).unwrap_or(&0)).sum();
        Cost { nanos, bytes: self.bytes - before.bytes, allocations: self.allocations - before.allocations }
    }
}

// ===== the cases, each in a process of its own =====

/// A runtime with two workers, as in a small service.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn settings(every: Duration, sources: Option<&[&str]>) -> SamplerSettings {
    let mut settings = serde_json::json!({ "every": format!("{}ms", every.as_millis()) });
    if let Some(sources) = sources {
        let only = [&["!*"], sources].concat();
        settings["system"] = serde_json::json!({ "sources": only });
    }
    // GPUs are a separate case.
    #[cfg(feature = "gpu")]
    {
        settings["gpu"] = serde_json::Value::Null;
    }
    serde_json::from_value(settings).expect("settings")
}

/// Measures one reading after the other, and prints their costs.
fn measure(every: Duration, readings: usize) {
    MEASURES.set(true);
    // The first two readings are irregular. Starts in the middle between two later ones.
    thread::sleep(Duration::from_millis(700).max(every) + every / 2);
    let mut before = Seen::now();
    for reading in 0..WARM_UP + readings {
        thread::sleep(every);
        let now = Seen::now();
        let cost = now.since(&before);
        if reading >= WARM_UP {
            println!("{} {} {}", cost.nanos, cost.bytes, cost.allocations);
        }
        before = now;
    }
}

fn ours(every: Duration, readings: usize, sources: Option<&[&str]>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let _sampling = Sampler::from_settings(&settings(every, sources)).expect("a sampler");
    measure(every, readings);
}

fn peer(every: Duration, readings: usize) {
    let reader = peer_sdk::metrics::ManualReader::builder().build();
    let provider = peer_sdk::metrics::SdkMeterProvider::builder().with_reader(reader).build();
    let runtime = runtime();
    runtime.spawn(opentelemetry_system_metrics::init_process_observer(provider.meter("bench")));
    measure(every, readings);
}

/// Reads GPUs with a fake driver that answers at once, so the driver's time is not measured.
#[cfg(feature = "gpu")]
fn gpus(every: Duration, readings: usize, count: u32) {
    let driver = fake_gpus::FakeGpus::new(count, "bench");
    let settings = serde_json::json!({
        "every": format!("{}ms", every.as_millis()),
        "system": null,
        "gpu": { "library": driver.path() },
    });
    let settings: SamplerSettings = serde_json::from_value(settings).expect("settings");
    let _sampling = Sampler::from_settings(&settings).expect("a sampler");
    measure(every, readings);
}

// ===== the parts =====

/// Starts a case in a child process.
fn start(case: &str, every: Duration, readings: usize) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .env(CASE, format!("{case} {} {readings}", every.as_millis()))
        .env(PEER_INTERVAL, every.as_millis().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again")
}

fn end(child: Child) -> Vec<Cost> {
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "a case failed");
    let text = String::from_utf8(output.stdout).expect("numbers");
    text.lines()
        .map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse().expect("a number"));
            let mut next = || numbers.next().expect("three numbers");
            Cost { nanos: next(), bytes: next(), allocations: next() }
        })
        .collect()
}

fn median(values: impl IntoIterator<Item = u64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len() / 2).map_or(f64::NAN, |value| *value as f64)
}

fn micros(costs: &[Cost]) -> f64 {
    median(costs.iter().map(|cost| cost.nanos)) / 1e3
}

/// The sources that are read at each interval. Two others are read at most once a minute.
const SOURCES: &[&str] = &["system", "disk", "network", "filesystem", "process", "container", "runtime"];

/// The cost of a reading of all sources, and of each source alone. Each includes a wake-up.
fn tick(every: Duration, readings: usize) {
    println!("reading system, process and runtime every {every:?}, median of {readings} readings:");
    for case in ["all"].iter().chain(SOURCES) {
        let costs = end(start(case, every, readings));
        println!(
            "  {case:<12} {:>9.1} µs CPU {:>9.0} bytes in {:>4.0} allocations",
            micros(&costs),
            median(costs.iter().map(|cost| cost.bytes)),
            median(costs.iter().map(|cost| cost.allocations)),
        );
    }
}

/// The cost of a reading of GPUs.
#[cfg(feature = "gpu")]
fn gpu(every: Duration, readings: usize) {
    let [one, many] = ["1-gpus".to_owned(), format!("{GPUS}-gpus")].map(|case| {
        let costs = end(start(&case, every, readings));
        (micros(&costs), median(costs.iter().map(|cost| cost.bytes)))
    });
    println!("reading GPUs without the driver's time every {every:?}, median of {readings} readings:");
    println!(
        "  one GPU {:.1} µs CPU, {:.0} bytes; {GPUS} GPUs {:.1} µs, {:.0} bytes",
        one.0, one.1, many.0, many.1
    );
    println!("  each further GPU {:.1} µs", (many.0 - one.0) / f64::from(GPUS - 1));
}

/// The steady cost.
fn steady(every: Duration, readings: usize) {
    println!("steady cost with a reading every {every:?}, median of {readings} readings, at the same time:");
    let cases = ["all", "process", "peer"].map(|case| (case, start(case, every, readings)));
    let [all, process, peer] = cases.map(|(case, child)| {
        let micros = micros(&end(child));
        let share = micros / 1e6 / every.as_secs_f64() * 100.0;
        println!("  {case:<12} {micros:>9.1} µs CPU {share:>9.5} % of a core");
        micros
    });
    println!("  process to peer {:.2}, all to peer {:.2}", process / peer, all / peer);
}

/// The cost of collecting metrics with and without a sampler. Collecting uses the last readings.
fn export(rounds: usize) {
    let time = |telemetry: &Telemetry| {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            black_box(telemetry.prometheus_text());
            times.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        median(times) / 1e3
    };
    let runtime = runtime();
    let _inside = runtime.enter();
    let telemetry = Telemetry::builder("bench").prometheus().build().expect("a pipeline");
    let without = time(&telemetry);
    let _sampling = Sampler::from_settings(&settings(Duration::from_secs(3_600), None)).expect("a sampler");
    // Utilization needs a second reading.
    thread::sleep(Duration::from_millis(1_000));
    let with = time(&telemetry);
    let text = telemetry.prometheus_text();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    println!(
        "collecting metrics, median of {rounds} rounds: {without:.1} µs without a sampler, {with:.1} µs with one ({series} series)"
    );
    println!("  no system call: cargo test --all-features --test sampler p40_collecting");
    println!("duration of the last reading of each source:");
    for line in text.lines() {
        if let Some((source, seconds)) =
            line.strip_prefix("campanile_sampler_duration_seconds{").and_then(|rest| {
                Some((rest.split_once("source=\"")?.1.split_once('"')?.0, rest.rsplit_once(' ')?.1))
            })
        {
            println!("  {source:<12} {:>9.1} µs", seconds.parse::<f64>().unwrap_or(f64::NAN) * 1e6);
        }
    }
}

fn main() {
    if let Ok(case) = env::var(CASE) {
        let words: Vec<_> = case.split(' ').collect();
        let (every, readings) =
            (words[1].parse().expect("milliseconds"), words[2].parse().expect("a number"));
        let every = Duration::from_millis(every);
        return match words[0] {
            "all" => ours(every, readings, None),
            "peer" => peer(every, readings),
            #[cfg(feature = "gpu")]
            "1-gpus" => gpus(every, readings, 1),
            #[cfg(feature = "gpu")]
            _ if words[0].ends_with("-gpus") => gpus(every, readings, GPUS),
            source => ours(every, readings, Some(&[source])),
        };
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    let full = arguments.iter().any(|argument| argument == "--bench");
    let wanted = |part: &str| {
        let mut named = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        named.peek().is_none() || named.any(|argument| argument == part)
    };
    let often = Duration::from_millis(100);
    if wanted("tick") {
        tick(often, if full { 100 } else { 2 });
    }
    #[cfg(feature = "gpu")]
    if wanted("gpu") {
        gpu(often, if full { 100 } else { 2 });
    }
    if wanted("steady") {
        let (every, readings) = if full { (Duration::from_secs(10), 13) } else { (often, 2) };
        steady(every, readings);
    }
    if wanted("export") {
        export(if full { 1_000 } else { 2 });
    }
}
