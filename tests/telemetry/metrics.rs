//! Metrics are aggregated once and exported at intervals, despite misbehaving exporters and callbacks.

use std::fmt;
use std::future::{Future, pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::TelemetryBuilder;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, InMemoryMetricExporterBuilder, Temporality};

use crate::support::{LONG, in_time};

/// An exporter that calls `act` with the number of each export.
struct Turns<F> {
    turn: AtomicUsize,
    temporality: Temporality,
    act: F,
}

fn turns<F>(act: F) -> Turns<F> {
    Turns { turn: AtomicUsize::new(0), temporality: Temporality::Cumulative, act }
}

impl<F, R> PushMetricExporter for Turns<F>
where
    F: Fn(usize) -> R + Send + Sync + 'static,
    R: Future<Output = OTelSdkResult> + Send,
{
    fn export(&self, _: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        (self.act)(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

impl<F> fmt::Debug for Turns<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

fn builder() -> TelemetryBuilder {
    Telemetry::builder("test").variables(|_| None)
}

fn in_memory(temporality: Temporality) -> InMemoryMetricExporter {
    InMemoryMetricExporterBuilder::new().with_temporality(temporality).build()
}

/// The exported values of a counter, in order.
fn sums(exporter: &InMemoryMetricExporter, name: &str) -> Vec<u64> {
    let exports = exporter.get_finished_metrics().unwrap();
    let metrics = exports.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(|scope| scope.metrics());
    let sum = |data: &AggregatedMetrics| match data {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().map(|point| point.value()).sum(),
        other => panic!("not a sum of integers: {other:?}"),
    };
    metrics.filter(|metric| metric.name() == name).map(|metric| sum(metric.data())).collect()
}

/// The number of copies that the pipeline's aggregations keep of an attribute.
fn held(builder: TelemetryBuilder) -> usize {
    let telemetry = builder.build().unwrap();
    let value: Arc<str> = "checkout".into();
    let counter = telemetry.meter_provider().meter("test").u64_counter("orders").build();
    counter.add(1, &[KeyValue::new("shop", StringValue::from(Arc::clone(&value)))]);
    Arc::strong_count(&value) - 1
}

#[test]
fn cumulative_sums_are_aggregated_once_for_all_exporters() {
    let total = || in_memory(Temporality::Cumulative);
    let one = held(builder().prometheus());
    assert!(one > 0);
    assert_eq!(held(builder().prometheus().metric_exporter(total())), one);
    assert_eq!(held(builder().prometheus().metric_exporter(total()).metric_exporter(total())), one);
    assert_eq!(held(builder().metric_exporter(total()).metric_exporter(total())), one);
    // Each collection resets the deltas, so each exporter of deltas needs its own aggregation.
    let delta = || in_memory(Temporality::Delta);
    assert_eq!(held(builder().metric_exporter(delta())), one);
    assert_eq!(held(builder().prometheus().metric_exporter(delta())), 2 * one);
    assert_eq!(held(builder().metric_exporter(delta()).metric_exporter(delta())), 2 * one);
}

#[test]
fn each_exporter_gets_its_temporality() {
    let (totals, deltas) = (in_memory(Temporality::Cumulative), in_memory(Temporality::Delta));
    let telemetry = builder()
        .prometheus()
        .metric_exporter(totals.clone())
        .metric_exporter(deltas.clone())
        .build()
        .unwrap();
    let counter = telemetry.meter_provider().meter("test").u64_counter("orders").build();
    for _ in 0..3 {
        counter.add(2, &[]);
        assert!(telemetry.force_flush(LONG));
        // A scrape does not reset the deltas.
        assert!(telemetry.prometheus_text().contains("orders_total "));
    }
    assert_eq!(sums(&totals, "orders"), [2, 4, 6]);
    assert_eq!(sums(&deltas, "orders"), [2, 2, 2]);
    assert!(telemetry.prometheus_text().contains("orders_total 6"));
}

#[test]
fn a_callback_that_panics_does_not_affect_others() {
    let exporter = in_memory(Temporality::Cumulative);
    let telemetry = builder().prometheus().metric_exporter(exporter.clone()).build().unwrap();
    let meter = telemetry.meter_provider().meter("test");
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let _bad = meter
        .u64_observable_counter("bad")
        .with_callback(move |it| {
            let turn = seen.fetch_add(1, Ordering::Relaxed);
            assert!(turn > 1, "the first two calls panic; this message is expected in the test's output");
            it.observe(turn as u64, &[]);
        })
        .build();
    let _good = meter.u64_observable_counter("good").with_callback(|it| it.observe(7, &[])).build();
    for _ in 0..3 {
        assert!(telemetry.force_flush(LONG));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3, "not called once for each export");
    assert_eq!(sums(&exporter, "good"), [7, 7, 7]);
    assert_eq!(sums(&exporter, "bad"), [2]);
    assert!(telemetry.prometheus_text().contains("bad_total"));
}

#[test]
fn p34_failures_of_an_exporter_of_metrics_are_counted() {
    in_time(|| {
        let exporter = turns(|turn| async move {
            match turn {
                0 => panic!("this message is expected in the test's output"),
                1 => Err(OTelSdkError::InternalFailure("refused".to_owned())),
                2 => pending().await,
                _ => Ok(()),
            }
        });
        let variables = |name: &str| (name == "OTEL_METRIC_EXPORT_TIMEOUT").then(|| "20".to_owned());
        let telemetry =
            builder().variables(variables).prometheus().metric_exporter(exporter).build().unwrap();
        for flushed in [false, false, false, true] {
            assert_eq!(telemetry.force_flush(LONG), flushed);
        }
        let text = telemetry.prometheus_text();
        let failures =
            crate::red::value(&text, "campanile_telemetry_export_failures_total", &[("signal", "metrics")]);
        assert_eq!(failures, Some(3.0));
        let durations = "campanile_telemetry_export_duration_seconds_count";
        assert_eq!(crate::red::value(&text, durations, &[("signal", "metrics")]), Some(4.0));
        assert!(telemetry.shutdown(LONG));
    });
}

#[test]
fn p34_an_exporter_of_metrics_that_blocks_delays_no_other() {
    in_time(|| {
        let (let_go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let blocks = turns(move |_| {
            // It blocks the thread, so a timeout cannot end it.
            let _ = wait.lock().map(|wait| wait.recv());
            ready(Ok(()))
        });
        let fine = in_memory(Temporality::Cumulative);
        let telemetry = builder().metric_exporter(blocks).metric_exporter(fine.clone()).build().unwrap();
        let counter = telemetry.meter_provider().meter("test").u64_counter("orders").build();
        counter.add(1, &[]);
        assert!(!telemetry.force_flush(Duration::from_millis(50)));
        assert!(!telemetry.shutdown(Duration::from_millis(50)));
        drop(telemetry);
        assert_eq!(sums(&fine, "orders").first(), Some(&1), "the other exporter is delayed");
        drop(let_go);
    });
}

#[test]
fn metrics_are_exported_at_intervals_and_at_shutdown() {
    in_time(|| {
        let (export, exports) = mpsc::channel();
        let exporter = turns(move |turn| {
            let _ = export.send(turn);
            ready(Ok(()))
        });
        let variables = |name: &str| (name == "OTEL_METRIC_EXPORT_INTERVAL").then(|| "5".to_owned());
        let telemetry = builder().variables(variables).metric_exporter(exporter).build().unwrap();
        for turn in 0..3 {
            assert_eq!(exports.recv(), Ok(turn));
        }
        assert!(telemetry.shutdown(LONG));
        assert!(exports.iter().count() > 0, "there is no export after the first");
    });
}
