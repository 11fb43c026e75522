//! What it costs to feed health, to look at it, and to keep it.

#![allow(clippy::cast_precision_loss)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use campanile::health::{Component, Health, HealthSettings, Recorder};
use campanile::{CircuitBreaker, DeadLetterQueue};
use tokio::runtime::{Builder, Runtime};

const COMPONENTS: usize = 1_000;
/// Threads that call each component in the case of the memory.
const CALLERS: usize = 4;
const MILLI: Duration = Duration::from_millis(1);

// ===== what is counted =====

struct Counting;

/// Nothing is counted while other cases are measured.
static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

fn count(allocations: u64, bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn bytes(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, bytes(layout));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -bytes(layout));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while `run` ran, and the bytes that stay.
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, u64, i64) {
    ALLOCATIONS.store(0, Ordering::Relaxed);
    HELD.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let value = run();
    COUNTS.store(false, Ordering::Relaxed);
    (value, ALLOCATIONS.load(Ordering::Relaxed), HELD.load(Ordering::Relaxed))
}

/// The median of the nanoseconds that `each` returns in `rounds` rounds.
pub(crate) fn median(rounds: usize, mut each: impl FnMut() -> f64) -> f64 {
    let mut found: Vec<f64> = (0..rounds).map(|_| each()).collect();
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

/// The mean nanoseconds of one of `runs` runs.
pub(crate) fn each(runs: u32, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..runs).for_each(|_| run());
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

pub(crate) fn row(case: &str, found: &str, bar: &str) {
    println!("  {case:<66} {found:>12}   {bar}");
}

// ===== the cases =====

/// Measures when `long`, or else sees that every case runs.
pub(crate) fn run(long: bool) {
    println!("health:");
    feed(long);
    look(long);
    rounds(long);
    memory();
}

fn feed(long: bool) {
    let (rounds, runs) = if long { (200, 20_000) } else { (1, 100) };
    let health = Health::standalone();
    let recorder = health.recorder("fed");
    let started = tokio::time::Instant::now();
    (0..1_000).for_each(|_| recorder.record_since(started, false));
    // In turn, so that what else the machine does hits all alike.
    let (mut clock, mut since, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        clock.push(each(runs, || {
            black_box(started.elapsed());
        }));
        since.push(each(runs, || recorder.record_since(black_box(started), black_box(false))));
        plain.push(each(runs, || recorder.record(black_box(MILLI), black_box(false))));
    }
    let middle = |found: &mut Vec<f64>| {
        found.sort_by(f64::total_cmp);
        found[found.len() / 2]
    };
    let (clock, since, plain) = (middle(&mut clock), middle(&mut since), middle(&mut plain));
    let ((), allocations, _) =
        counted(|| (0..10_000).for_each(|_| recorder.record(black_box(MILLI), black_box(false))));
    row("measuring how long a call took, alone", &format!("{clock:.1} ns"), "");
    row("the same, and feeding it to health", &format!("{since:.1} ns"), "");
    row("so feeding a call takes", &format!("{:.1} ns", since - clock), "<= 15 ns");
    row("feeding a duration that was measured before", &format!("{plain:.1} ns"), "");
    row("allocations of 10,000 calls fed", &allocations.to_string(), "0");
}

/// A thousand components: all are called and registered, a tenth has a circuit, a queue, or both.
struct Town {
    health: Health,
    recorders: Vec<Recorder>,
    _breakers: Vec<CircuitBreaker>,
    _queues: Vec<DeadLetterQueue>,
}

impl Town {
    fn new() -> Self {
        let health = Health::standalone();
        let name = |number: usize| format!("service-{number}");
        for number in 0..COMPONENTS {
            let component = Component::new(name(number)).critical(number % 10 == 0);
            // Three tiers of which each uses the next.
            let component = if number >= 10 { component.depends_on(name(number / 10)) } else { component };
            health.register(component).expect("no cycle");
        }
        let recorders: Vec<Recorder> = (0..COMPONENTS).map(|number| health.recorder(name(number))).collect();
        let breakers = (0..COMPONENTS)
            .step_by(10)
            .map(|number| CircuitBreaker::builder(name(number)).build().expect("the settings are in range"));
        let queues =
            (0..COMPONENTS).step_by(20).map(|number| DeadLetterQueue::in_memory(10).named(name(number)));
        let town = Self { _breakers: breakers.collect(), _queues: queues.collect(), health, recorders };
        town.call();
        town
    }

    /// A few calls each, of which one in twenty components has many that fail.
    fn call(&self) {
        for (number, recorder) in self.recorders.iter().enumerate() {
            for call in 0..20_u32 {
                recorder.record(MILLI * (call + 1), number % 20 == 1 && call % 3 == 0);
            }
        }
    }
}

fn look(long: bool) {
    let rounds = if long { 300 } else { 2 };
    let town = Town::new();
    let snapshot = town.health.snapshot();
    assert!(snapshot.components.len() >= COMPONENTS);
    let whole = median(rounds, || each(1, || drop(black_box(town.health.snapshot()))));
    let called = median(rounds, || {
        town.call();
        each(1, || drop(black_box(town.health.snapshot())))
    });
    row(
        &format!("a snapshot of {COMPONENTS} components, {} of which are not well", snapshot.losses.len()),
        &format!("{:.0} \u{b5}s", whole / 1_000.0),
        "<= 1,000 \u{b5}s",
    );
    row("the same when each was called since the last", &format!("{:.0} \u{b5}s", called / 1_000.0), "");
    let kept = HealthSettings { cached_for: Duration::from_secs(60), ..HealthSettings::default() };
    town.health.configure(kept).expect("the settings are in range");
    let ready = median(rounds, || each(1_000, || _ = black_box(town.health.is_ready())));
    row("asking whether it is ready", &format!("{ready:.1} ns"), "");
}

/// A runtime whose clock stands still until it is moved.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn rounds(long: bool) {
    /// Rate, share of errors and mean duration.
    const SIGNS: f64 = 3.0;
    let rounds = if long { 100 } else { 2 };
    // Made outside of the runtime, so that no task takes rounds.
    let town = Town::new();
    paused().block_on(async {
        let (mut due, mut others) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            tokio::time::advance(Duration::from_secs(10)).await;
            due.push(each(1, || drop(black_box(town.health.snapshot()))));
            others.push(each(1, || drop(black_box(town.health.snapshot()))));
        }
        let middle = |found: &mut Vec<f64>| {
            found.sort_by(f64::total_cmp);
            found[found.len() / 2]
        };
        let extra = (middle(&mut due) - middle(&mut others)) / 1_000.0;
        row("a round more than a snapshot", &format!("{extra:.0} \u{b5}s"), "");
        row(
            "so taking in a vital sign, and what follows from it",
            &format!("{:.0} ns", extra * 1_000.0 / COMPONENTS as f64 / SIGNS),
            "",
        );
    });
}

fn memory() {
    // Made outside of the runtime, so that no task takes rounds.
    let (health, _, registered) = counted(|| {
        let health = Health::standalone();
        for number in 0..COMPONENTS {
            health.register(Component::new(format!("service-{number}"))).expect("no cycle");
        }
        health
    });
    paused().block_on(async {
        let (recorders, _, recorded) = counted(|| -> Vec<Recorder> {
            (0..COMPONENTS).map(|number| health.recorder(format!("service-{number}"))).collect()
        });
        let call = |recorders: &[Recorder]| {
            for recorder in recorders {
                for call in 0..40_u32 {
                    recorder.record(Duration::from_micros(100) * (call + 1), call % 5 == 0);
                }
            }
        };
        let ((), _, called) = counted(|| {
            thread::scope(|scope| {
                for _ in 0..CALLERS {
                    scope.spawn(|| call(&recorders));
                }
            });
        });
        // Enough rounds to end the warm-up.
        let mut watched = 0;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(10)).await;
            let ((), _, held) = counted(|| {
                call(&recorders);
                drop(health.snapshot());
            });
            watched += held;
        }
        let per = |bytes: i64| bytes / i64::try_from(COMPONENTS).unwrap_or(1);
        row("bytes of a component: registered", &per(registered).to_string(), "");
        row("its recorder", &per(recorded).to_string(), "");
        row(&format!("its vital signs, called by {CALLERS} threads"), &per(called).to_string(), "");
        row("what is kept to look ahead", &per(watched).to_string(), "");
        row("all of it", &per(registered + recorded + called + watched).to_string(), "<= 8,192");
    });
}
