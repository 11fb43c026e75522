//! The sketch: its error against exact quantiles, its sums, and its serialized form.

use std::time::Duration;

use campanile::Timing;
use campanile::timing::{Sketch, TimingSnapshot};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

const SHARES: [f64; 9] = [0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0];

/// Durations of every size, up to the maximum of 64 bits.
fn any_nanos() -> impl Strategy<Value = u64> {
    (0_u32..=63, any::<u64>()).prop_map(|(shift, nanos)| nanos >> shift)
}

fn sketch_of(nanos: &[u64]) -> Sketch {
    nanos.iter().copied().map(Duration::from_nanos).collect()
}

fn assert_within_the_error(sketch: &Sketch, sorted: &[u64]) {
    for share in SHARES {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        let exact = sorted[rank.max(1) - 1];
        let got = sketch.quantile(share).unwrap().as_nanos() as f64;
        let error = (got - exact as f64).abs();
        assert!(error <= exact as f64 * Sketch::RELATIVE_ERROR, "{share}: {got} for {exact} ns");
    }
}

proptest! {
    #[test]
    fn a_quantile_is_within_its_error(mut nanos in prop::collection::vec(any_nanos(), 1..400)) {
        let sketch = sketch_of(&nanos);
        nanos.sort_unstable();
        assert_within_the_error(&sketch, &nanos);
        prop_assert_eq!(sketch.count(), nanos.len() as u64);
        prop_assert_eq!(sketch.min(), Duration::from_nanos(nanos[0]));
        prop_assert_eq!(sketch.max(), Duration::from_nanos(nanos[nanos.len() - 1]));
        let sum: u128 = nanos.iter().map(|nanos| u128::from(*nanos)).sum();
        prop_assert_eq!(sketch.sum().as_nanos(), sum);
        prop_assert_eq!(sketch.mean().as_nanos(), sum / nanos.len() as u128);
    }

    #[test]
    fn the_sum_of_sketches_is_the_sketch_of_all(parts in prop::collection::vec(prop::collection::vec(any_nanos(), 0..100), 0..6)) {
        let all: Vec<u64> = parts.concat();
        let mut forwards = Sketch::new();
        parts.iter().for_each(|part| forwards.merge(&sketch_of(part)));
        let mut backwards = Sketch::new();
        parts.iter().rev().for_each(|part| backwards.merge(&sketch_of(part)));
        prop_assert_eq!(&forwards, &sketch_of(&all));
        prop_assert_eq!(&backwards, &forwards);
    }

    #[test]
    fn a_sketch_survives_serde(nanos in prop::collection::vec(any_nanos(), 0..100)) {
        let sketch = sketch_of(&nanos);
        let text = serde_json::to_string(&sketch).unwrap();
        prop_assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), sketch);
    }
}

#[test]
fn an_empty_sketch_has_no_quantile_and_shares_are_clamped() {
    let empty = Sketch::new();
    assert!(empty.is_empty());
    assert_eq!((empty.quantile(0.5), empty.mean(), empty.max()), (None, Duration::ZERO, Duration::ZERO));
    let one = sketch_of(&[7]);
    assert_eq!(one.quantile(0.5), Some(Duration::from_nanos(7)));
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(one.quantile(share), None);
    }
}

#[test]
fn long_calls_have_the_same_error_and_impossible_ones_are_clamped() {
    let day = Duration::from_secs(86_400);
    let days: Sketch = (1..=100).map(|days| days * day).collect();
    let median = days.quantile(0.5).unwrap().as_secs_f64() / day.as_secs_f64();
    assert!((median - 50.0).abs() <= 50.0 * Sketch::RELATIVE_ERROR, "{median} days");
    let endless: Sketch = [Duration::MAX, Duration::MAX].into_iter().collect();
    let end = Duration::from_nanos(u64::MAX);
    assert_eq!((endless.max(), endless.mean(), endless.sum()), (end, end, 2 * end));
    assert!(
        endless.quantile(0.5).unwrap().as_secs_f64() >= end.as_secs_f64() * (1.0 - Sketch::RELATIVE_ERROR)
    );
}

/// Damages a serialized sketch.
type Fault = fn(&mut Value);

#[test]
fn a_damaged_sketch_is_refused() {
    let good = json!({"steps": 16, "sum": "3ns", "min": "1ns", "max": "2ns", "buckets": [[1, 1], [2, 1]]});
    let read = |change: fn(&mut Value)| {
        let mut sketch = good.clone();
        change(&mut sketch);
        serde_json::from_value::<Sketch>(sketch).map_err(|error| error.to_string())
    };
    assert_eq!(read(|_| {}), Ok(sketch_of(&[1, 2])));
    let faults: [(Fault, &str); 8] = [
        (|it| it["steps"] = json!(32), "32 buckets for each power of two"),
        (|it| it["buckets"] = json!([[1, 1], [976, 1]]), "bucket 976"),
        (|it| it["buckets"] = json!([[2, 1], [1, 1]]), "ascending order"),
        (|it| it["buckets"] = json!([[1, 1], [1, 1], [2, 1]]), "ascending order"),
        (|it| it["buckets"] = json!([[1, 1], [2, 0]]), "bucket 2 of the sketch is empty"),
        (|it| it["buckets"] = json!([[1, u64::MAX], [2, 1]]), "exceed 64 bits"),
        (|it| it["max"] = json!("1ns"), "outside of its min and max"),
        (|it| it["mean"] = json!("1ns"), "unknown field"),
    ];
    for (change, why) in faults {
        let error = read(change).unwrap_err();
        assert!(error.contains(why), "{error}: {why}");
    }
}

/// The snapshot of a handle with calls of these milliseconds.
async fn seen(name: &str, millis: &[u64]) -> TimingSnapshot {
    let timing = Timing::new(name);
    let service = timing.layer().layer(service_fn(|millis: u64| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        if millis.is_multiple_of(10) { Err("broken") } else { Ok(()) }
    }));
    for millis in millis {
        let _ = service.clone().oneshot(*millis).await;
    }
    timing.snapshot()
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_two_processes_add_up() {
    let (low, high): (Vec<u64>, Vec<u64>) = ((1..=50).collect(), (51..=100).collect());
    let mut one = seen("orders", &low).await;
    let sent = serde_json::to_string(&seen("elsewhere", &high).await).unwrap();
    let other: TimingSnapshot = serde_json::from_str(&sent).unwrap();
    let rate = one.last_minute.per_second + other.last_minute.per_second;
    one.merge(&other);
    assert_eq!((&*one.name, one.calls, one.failed, one.in_flight), ("orders", 100, 10, 0));
    assert_eq!((one.min, one.max), (Duration::from_millis(1), Duration::from_millis(100)));
    assert_eq!((one.mean, one.last_minute.per_second), (Duration::from_micros(50_500), rate));
    let nanos: Vec<u64> = (1..=100).map(|millis| millis * 1_000_000).collect();
    assert_within_the_error(&one.durations, &nanos);
    assert_eq!(Some(one.p99), one.durations.quantile(0.99));
}

#[test]
fn threads_lose_no_call_and_concurrent_snapshots_never_go_down() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 5_000;
    let timing = Timing::new("shared");
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let service =
                    timing.layer().layer(service_fn(|()| async { Ok::<_, std::convert::Infallible>(()) }));
                runtime().block_on(async {
                    for _ in 0..CALLS {
                        service.clone().oneshot(()).await.unwrap();
                    }
                });
            });
        }
        let mut before = timing.snapshot();
        while before.calls < THREADS * CALLS {
            let now = timing.snapshot();
            assert!(now.calls >= before.calls && now.in_flight <= THREADS, "{now:?} after {before:?}");
            before = now;
        }
    });
    let snapshot = timing.snapshot();
    assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.failed), (THREADS * CALLS, 0, 0));
    assert_eq!(snapshot.durations.count(), THREADS * CALLS);
}
