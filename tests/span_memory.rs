//! The memory of spans is bounded for any lifetime and any names. This is a separate binary, because its allocator counts
//! all bytes.

#![cfg(feature = "telemetry")]
#![allow(unsafe_code)] // `GlobalAlloc` needs it. The library forbids unsafe code.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::TelemetryBuilder;
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tracing::field::Empty;
use tracing::{Dispatch, error, info, info_span};
use tracing_subscriber::prelude::*;

struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = BYTES.try_with(|count| {
        count.set(count.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(count.get())));
    });
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MILLION: usize = 1_000_000;

/// Runs `action`. Returns its result and the growth of this thread's memory in bytes: the maximum, and at the end.
fn held<R>(action: impl FnOnce() -> R) -> (R, isize, isize) {
    let before = BYTES.get();
    MOST.set(before);
    let result = action();
    (result, MOST.get() - before, BYTES.get() - before)
}

fn telemetry(configure: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder) -> (Telemetry, Dispatch) {
    let telemetry = configure(Telemetry::builder("test").variables(|_| None)).build().unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(telemetry.span_layer()));
    (telemetry, dispatch)
}

/// A span with an event every 86 ms for a day. Each event has an attribute of the maximum length.
#[test]
fn p33_a_span_of_a_day_with_a_million_events_is_bounded() {
    let exporter = InMemorySpanExporter::default();
    let (telemetry, dispatch) = telemetry(|builder| builder.span_exporter(exporter.clone()));
    let text = "x".repeat(10_000);
    let mut most_of_all = 0;
    tracing::dispatcher::with_default(&dispatch, || {
        let day = info_span!("day", a = Empty, b = Empty);
        let other = info_span!("other");
        let mut sizes = Vec::new();
        for _ in 0..10 {
            let ((), most, _) = held(|| {
                for n in 0..MILLION / 10 {
                    let _entered = day.enter();
                    info!(n, text, "{text}");
                    if n % 100 == 0 {
                        error!(n, "{text}");
                        day.record("a", n).record("b", text.as_str()).follows_from(&other);
                    }
                }
            });
            sizes.push(most);
        }
        most_of_all = sizes.iter().copied().max().unwrap();
        // 128 events with a name and a text of 4,096 bytes each, and the same again for attributes and links.
        assert!(sizes[0] < 128 * 3 * 4_096 + 128 * 1_024, "{sizes:?}");
        // After the first tenth, memory grows only while an event is recorded.
        assert!(sizes[1..].iter().all(|most| *most < 64 * 1_024), "{sizes:?}");
    });
    assert!(telemetry.force_flush(Duration::from_secs(60)));
    let spans = exporter.get_finished_spans().unwrap();
    let day = spans.iter().find(|span| span.name == "day").unwrap();
    let all = u32::try_from(MILLION + MILLION / 100).unwrap();
    assert_eq!((day.events.len(), day.events.dropped_count), (128, all - 128));
    assert_eq!((day.links.len(), day.links.dropped_count), (128, 10_000 - 128));
    println!("a span with a million events takes at most {most_of_all} bytes");
}

/// Names and components come from requests, as in a careless service or one under attack.
#[cfg(feature = "prometheus")]
#[test]
fn p35_a_million_names_and_components_are_bounded_and_the_rest_is_visible() {
    let (telemetry, dispatch) =
        telemetry(|builder| builder.prometheus().sampling(campanile::telemetry::Sampling::AlwaysOff));
    let mut number = 0;
    let mut spans = |count: usize| {
        let dispatch = &dispatch;
        let (_, _, kept) = held(|| {
            tracing::dispatcher::with_default(dispatch, || {
                for _ in 0..count / 2 {
                    number += 1;
                    drop(info_span!("request", otel.name = format!("GET /orders/{number}")));
                    drop(info_span!("job", component = format!("tenant {number}")));
                }
            });
        });
        kept
    };
    let first = spans(MILLION / 10);
    let rest = spans(MILLION - MILLION / 10);
    println!("{first} bytes for the first 100,000 names, {rest} bytes for the other 900,000");
    // 900 series with two histograms each, and 1,000 components with vital signs.
    assert!(first < 32 << 20, "{first}");
    assert!(rest < 1 << 20, "{rest}");

    let (text, ..) = held(|| telemetry.prometheus_text());
    let counts: Vec<_> =
        text.lines().filter(|line| line.starts_with("campanile_span_duration_seconds_count")).collect();
    assert!(counts.len() <= 2 * 901, "{}", counts.len());
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let overflow: Vec<_> =
        counts.iter().filter(|line| line.contains("otel_metric_overflow=\"true\"")).collect();
    assert_eq!(overflow.len(), 1, "not one overflow series: {overflow:?}");
    assert!(value(overflow[0]) > 0.99 * MILLION as f64, "{overflow:?}");
    assert_eq!(
        counts.iter().map(|line| value(line)).sum::<f64>(),
        MILLION as f64,
        "some calls are not counted"
    );
    // The number of components in health is bounded too.
    let components = telemetry.health().snapshot().components.len();
    assert!(components <= 1_001, "{components}");
}

/// 4,000 spans of 32 kB each, in traces about which tail sampling has not decided yet.
#[test]
fn spans_in_the_tail_buffer_are_bounded_in_bytes() {
    let (_telemetry, dispatch) = telemetry(|builder| {
        let tail = campanile::telemetry::TailSampling::default();
        builder.sampling(campanile::telemetry::Sampling::AlwaysOff).tail_sampling(tail)
    });
    let text = "x".repeat(4_000);
    let (_, most, _) = held(|| {
        tracing::dispatcher::with_default(&dispatch, || {
            let mut roots = Vec::new();
            for _ in 0..400 {
                let root = info_span!("root");
                for _ in 0..10 {
                    let span = info_span!(
                        parent: &root, "leaf", a = text, b = text, c = text, d = text, e = text, f = text, g = text, h = text
                    );
                    drop(span);
                }
                roots.push(root);
            }
        });
    });
    println!("4,000 spans of 32 kB take at most {most} bytes");
    // 32 MiB, plus maps and open spans.
    assert!((24 << 20..36 << 20).contains(&most), "{most}");
}
