//! Allocators whose statistics a function of the program returns: a real one, and functions that fail.
#![allow(unsafe_code)] // The functions of mimalloc.
#![allow(clippy::disallowed_types)] // That of the crate is its own.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::{AllocatorStats, Sampler};

const SIZE: usize = 64 << 20;

/// The memory that mimalloc has committed, by its own statistics.
fn mimalloc() -> Option<AllocatorStats> {
    let (none, mut committed) = (ptr::null_mut(), 0);
    // SAFETY: the pointers are valid for the call.
    unsafe { libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut committed, none, none) };
    let mut read = AllocatorStats::default();
    read.mapped = Some(committed as u64);
    Some(read)
}

fn value(text: &str, metric: &str, labels: &[&str]) -> Option<f64> {
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(metric))
        .find(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn until(telemetry: &Telemetry, fits: impl Fn(&str) -> bool) -> String {
    let text = (0..6_000).find_map(|_| {
        thread::park_timeout(Duration::from_millis(10));
        Some(telemetry.prometheus_text()).filter(|text| fits(text))
    });
    text.unwrap_or_else(|| panic!("the expected metrics did not appear: {}", telemetry.prometheus_text()))
}

#[test]
fn p41_the_values_of_a_real_allocator_are_reported() {
    let telemetry = Telemetry::builder("test")
        .prometheus()
        .sampler(crate::every(Duration::from_millis(100)))
        .sampler_with(|sampler| sampler.allocator("mimalloc", mimalloc))
        .build()
        .unwrap();
    let of = |text: &str, state: &str| {
        value(
            text,
            "campanile_allocator_memory_bytes",
            &["allocator=\"mimalloc\"", &format!("state=\"{state}\"")],
        )
    };
    let before = mimalloc().unwrap().mapped.unwrap() as f64;
    until(&telemetry, |text| of(text, "mapped").is_some_and(|mapped| (mapped - before).abs() < 1e6));

    // SAFETY: plain memory, written within its bounds and freed once.
    let memory = unsafe {
        let memory = libmimalloc_sys::mi_malloc(SIZE);
        assert!(!memory.is_null());
        ptr::write_bytes(memory.cast::<u8>(), 7, SIZE);
        memory
    };
    let theirs = mimalloc().unwrap();
    let close = |ours: f64, theirs: Option<u64>| (ours - theirs.unwrap() as f64).abs() < 16e6;
    let text =
        until(&telemetry, |text| of(text, "mapped").is_some_and(|mapped| mapped >= before + SIZE as f64));
    assert!(close(of(&text, "mapped").unwrap(), theirs.mapped), "{theirs:?} {text}");
    for state in ["allocated", "active", "resident", "retained"] {
        assert_eq!(of(&text, state), None, "an unknown value has no series");
    }
    // SAFETY: from `mi_malloc`, and not used again.
    unsafe { libmimalloc_sys::mi_free(memory) };
}

#[test]
fn p40_an_allocator_that_panics_or_hangs_fails_alone() {
    static ALLOCATED: AtomicU64 = AtomicU64::new(0);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let telemetry = Telemetry::builder("test")
        .prometheus()
        .sampler(crate::every(Duration::from_millis(100)))
        .sampler_with(move |sampler| {
            sampler
                .allocator("panics", || panic!("on purpose"))
                .allocator("hangs", move || {
                    let _ = released.lock().map(|released| released.recv());
                    None
                })
                .allocator("silent", || None)
                .allocator("good", || {
                    let mut read = AllocatorStats::default();
                    read.allocated = Some(ALLOCATED.fetch_add(1, Ordering::Relaxed) + 1);
                    Some(read)
                })
        })
        .build()
        .unwrap();
    let text = until(&telemetry, |text| {
        let good = value(text, "campanile_allocator_memory_bytes", &["allocator=\"good\"", "allocated"]);
        let failures = |source| value(text, "campanile_sampler_failures_total", &[source]);
        good.is_some_and(|good| good >= 5.0)
            && failures("source=\"allocator.panics\"").is_some_and(|failures| failures >= 1.0)
    });
    assert!(value(&text, "campanile_sampler_failures_total", &["allocator.good"]) == Some(0.0), "{text}");
    assert!(value(&text, "campanile_sampler_failures_total", &["allocator.silent"]) == Some(0.0), "{text}");
    for allocator in ["panics", "hangs", "silent"] {
        let label = format!("allocator=\"{allocator}\"");
        assert_eq!(value(&text, "campanile_allocator_memory_bytes", &[&label]), None);
    }
    // Shutdown does not wait for the hanging function.
    drop(telemetry);
    drop(release);
}

#[test]
fn two_allocators_with_the_same_name_are_refused() {
    for names in [["same", "same"], ["other", ""]] {
        let builder = Sampler::builder();
        let error = names
            .into_iter()
            .fold(builder, |builder, name| builder.allocator(name, || None))
            .build()
            .unwrap_err();
        assert_eq!(error.setting(), "sampler.allocator");
        assert_eq!(error.value(), format!("{:?}", names[1]));
    }
}
