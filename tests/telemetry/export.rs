//! P34: no collector delays a caller or prevents a shutdown.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use campanile::Telemetry;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::info_span;
use tracing_subscriber::prelude::*;

use crate::support::{LONG, in_time};

/// An exporter that blocks until it is opened, and exports one batch at a time.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    exported: Arc<AtomicUsize>,
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl SpanExporter for Gate {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let mut open = self.open.0.lock().unwrap();
        while !*open {
            open = self.open.1.wait(open).unwrap();
        }
        self.exported.fetch_add(batch.len(), Ordering::Relaxed);
        std::future::ready(Ok(()))
    }
}

impl LogExporter for Gate {
    fn export(&self, _: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        let mut open = self.open.0.lock().unwrap();
        while !*open {
            open = self.open.1.wait(open).unwrap();
        }
        std::future::ready(Ok(()))
    }
}

fn traced(telemetry: &Telemetry, spans: usize) {
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || (0..spans).for_each(|_| drop(info_span!("span"))));
}

#[cfg(feature = "prometheus")]
fn dropped(telemetry: &Telemetry, reason: &str) -> f64 {
    let text = telemetry.prometheus_text();
    crate::red::value(&text, "campanile_telemetry_spans_dropped_total", &[("reason", reason)]).unwrap()
}

#[cfg(feature = "prometheus")]
#[test]
fn p34_what_a_hanging_exporter_drops_is_counted() {
    in_time(|| {
        let gate = Gate::default();
        let mut batch = campanile::telemetry::BatchSettings::default();
        (batch.queue, batch.batch) = (100, 10);
        let telemetry = Telemetry::builder("test")
            .variables(|_| None)
            .prometheus()
            .configure(|settings| settings.batch = batch)
            .span_exporter(gate.clone())
            .build()
            .unwrap();
        traced(&telemetry, 10_000);
        assert!(!telemetry.force_flush(Duration::from_millis(50)), "the exporter does not hang");
        let lost = dropped(&telemetry, "queue_full");
        // One queue is full, and the worker may have taken one batch before it blocked.
        assert!((9_800.0..=9_900.0).contains(&lost), "{lost}");
        gate.open();
        assert!(telemetry.force_flush(LONG));
        assert_eq!(
            gate.exported.load(Ordering::Relaxed) as f64 + lost,
            10_000.0,
            "some spans are neither exported nor counted"
        );
    });
}

#[cfg(feature = "prometheus")]
#[test]
fn the_queue_is_bounded_in_bytes() {
    in_time(|| {
        let gate = Gate::default();
        let mut batch = campanile::telemetry::BatchSettings::default();
        (batch.queue, batch.queue_bytes) = (10_000, 1_000_000);
        let builder = Telemetry::builder("test").variables(|_| None).prometheus();
        let telemetry =
            builder.configure(|settings| settings.batch = batch).span_exporter(gate.clone()).build().unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        let text = "x".repeat(4_000);
        tracing::subscriber::with_default(subscriber, || {
            (0..2_000).for_each(|_| drop(info_span!("span", text)));
        });
        let lost = dropped(&telemetry, "queue_full");
        // One queue is full, and the worker may have taken as much before it blocked.
        let kept = 2_000.0 - lost;
        assert!((1_000_000.0 / 5_000.0..=2.0 * 1_000_000.0 / 4_000.0).contains(&kept), "{kept}");
        gate.open();
        assert!(telemetry.force_flush(LONG));
        assert_eq!(
            gate.exported.load(Ordering::Relaxed) as f64,
            kept,
            "some spans are neither exported nor counted"
        );
    });
}

#[cfg(feature = "prometheus")]
#[test]
fn the_bound_in_bytes_includes_calls_of_the_log_crate() {
    in_time(|| {
        let gate = Gate::default();
        let mut logs = campanile::telemetry::LogSettings::default();
        (logs.batch.queue, logs.batch.queue_bytes) = (10_000, 100_000);
        let builder = Telemetry::builder("test").variables(|_| None).prometheus();
        let telemetry =
            builder.configure(|settings| settings.logs = logs).log_exporter(gate.clone()).build().unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        let target = "x".repeat(1_000);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..1_000 {
                let mut record = log::Record::builder();
                record.level(log::Level::Info).target(&target).args(format_args!("text"));
                tracing_log::format_trace(&record.build()).unwrap();
            }
        });
        let text = telemetry.prometheus_text();
        let name = "campanile_telemetry_logs_dropped_total";
        let kept = 1_000.0 - crate::red::value(&text, name, &[("reason", "queue_full")]).unwrap();
        assert!((100_000.0 / 2_000.0..=2.0 * 100_000.0 / 1_000.0).contains(&kept), "{kept}");
        gate.open();
    });
}

#[cfg(feature = "prometheus")]
#[test]
fn p34_what_a_failing_exporter_drops_is_counted() {
    #[derive(Debug)]
    struct Faulty(AtomicUsize);

    impl SpanExporter for Faulty {
        fn export(&self, _: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
            let turn = self.0.fetch_add(1, Ordering::Relaxed);
            assert!(turn != 0, "the first export panics; this message is expected in the test's output");
            let error = opentelemetry_sdk::error::OTelSdkError::InternalFailure("refused".to_owned());
            std::future::ready(if turn == 1 { Err(error) } else { Ok(()) })
        }
    }

    in_time(|| {
        let telemetry = Telemetry::builder("test")
            .variables(|_| None)
            .prometheus()
            .span_exporter(Faulty(AtomicUsize::new(0)))
            .build()
            .unwrap();
        for (flushed, lost) in [(false, 3.0), (false, 6.0), (true, 6.0)] {
            traced(&telemetry, 3);
            assert_eq!(telemetry.force_flush(LONG), flushed);
            assert_eq!(dropped(&telemetry, "export_failed"), lost);
        }
        let text = telemetry.prometheus_text();
        let failures =
            crate::red::value(&text, "campanile_telemetry_export_failures_total", &[("signal", "traces")]);
        assert_eq!(failures, Some(2.0));
        assert!(telemetry.shutdown(LONG));
        traced(&telemetry, 2);
    });
}

#[test]
fn p34_shutdown_and_drop_end_while_the_exporter_hangs() {
    in_time(|| {
        let gate = Gate::default();
        let telemetry =
            Telemetry::builder("test").variables(|_| None).span_exporter(gate.clone()).build().unwrap();
        traced(&telemetry, 10);
        assert!(!telemetry.shutdown(Duration::from_millis(50)));
        assert!(telemetry.shutdown(LONG), "a second shutdown fails");
        drop(telemetry);
        gate.open();
    });
}

#[test]
fn shutdown_exports_the_queue() {
    in_time(|| {
        let gate = Gate::default();
        gate.open();
        let telemetry =
            Telemetry::builder("test").variables(|_| None).span_exporter(gate.clone()).build().unwrap();
        traced(&telemetry, 700);
        drop(telemetry);
        assert_eq!(gate.exported.load(Ordering::Relaxed), 700);
    });
}

#[cfg(feature = "otlp-grpc")]
mod otlp {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// An endpoint that accepts connections and never answers.
    fn silent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                open.push(stream);
            }
        });
        format!("http://{address}")
    }

    /// An endpoint that refuses connections.
    fn refusing() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn pipeline(endpoint: &str, protocol: &'static str) -> Telemetry {
        let endpoint = endpoint.to_owned();
        let builder = Telemetry::builder("test").otlp().variables(move |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
            _ => None,
        });
        builder.build().unwrap()
    }

    fn trace_and_shut_down(endpoint: &str, protocol: &'static str) {
        let telemetry = pipeline(endpoint, protocol);
        traced(&telemetry, 5_000);
        assert!(!telemetry.force_flush(Duration::from_millis(100)), "{endpoint} {protocol}");
        assert!(!telemetry.shutdown(Duration::from_millis(100)), "{endpoint} {protocol}");
        drop(telemetry);
    }

    #[test]
    fn p34_a_bad_collector_stalls_no_kind_of_runtime() {
        for endpoint in [silent(), refusing()] {
            for protocol in ["grpc", "http/protobuf"] {
                let at = endpoint.clone();
                in_time(move || trace_and_shut_down(&at, protocol));
                let at = endpoint.clone();
                in_time(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async { trace_and_shut_down(&at, protocol) });
                });
                let at = endpoint.clone();
                in_time(move || {
                    let runtime = tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(1)
                        .enable_all()
                        .build()
                        .unwrap();
                    // On the only worker thread of the runtime.
                    runtime.block_on(async {
                        tokio::spawn(async move { trace_and_shut_down(&at, protocol) }).await.unwrap();
                    });
                });
            }
        }
    }

    #[test]
    fn p34_the_last_handle_may_be_dropped_in_an_async_context() {
        in_time(|| {
            let endpoint = refusing();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { drop(pipeline(&endpoint, "grpc")) });
        });
    }

    #[test]
    fn an_error_names_an_invalid_endpoint() {
        let error = Telemetry::builder("test")
            .otlp()
            .variables(|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "nonsense at all".to_owned()))
            .build()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("cannot export traces to `nonsense at all/v1/traces`"), "{text}");
    }
}
