//! Messages that are too large for a collector are split.

use std::collections::BTreeMap;

use campanile::Telemetry;
use campanile::telemetry::{BatchSettings, OtlpCompression, OtlpSettings, TelemetryBuilder};
use http::Response;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

use crate::otlp::{PROTOCOLS, answer, builder, lost, message, spans};
use crate::scripted::{Collector, grpc, http};
use crate::support::LONG;
use prost::Message;

const LIMIT: usize = 8_192;

fn limited(collector: &Collector, protocol: &str, more: &[(&'static str, &str)]) -> TelemetryBuilder {
    let mut otlp = OtlpSettings::default();
    otlp.message_limit = LIMIT;
    builder(&collector.endpoint(), protocol, more).otlp().configure(|settings| settings.otlp_settings = otlp)
}

fn traced(telemetry: &Telemetry, action: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, action);
}

#[test]
fn a_large_batch_is_sent_in_several_messages() {
    for protocol in PROTOCOLS {
        for compression in ["none", "gzip"] {
            let collector = Collector::start(move |_| answer(protocol, true));
            let more = [("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
            let telemetry = limited(&collector, protocol, &more).build().unwrap();
            traced(&telemetry, || {
                let text = "x".repeat(1_000);
                (0..100).for_each(|n| drop(info_span!("order", n, text)));
            });
            assert!(telemetry.force_flush(LONG));
            let requests = collector.requests();
            assert!((100 / 8..=100 / 5).contains(&requests.len()), "{}", requests.len());
            assert!(requests.iter().all(|request| message(request).len() <= LIMIT));
            let numbers: Vec<_> = requests
                .iter()
                .flat_map(spans)
                .map(|span| span.attributes.iter().find(|attribute| attribute.key == "n").cloned())
                .collect();
            assert_eq!(numbers.len(), 100);
            assert!(numbers.windows(2).all(|two| two[0] != two[1] && two[0].is_some()));
            assert_eq!(lost(&telemetry, "export_failed") + lost(&telemetry, "too_large"), 0.0);
        }
    }
}

#[test]
fn a_span_that_is_too_large_alone_drops_its_last_events() {
    let collector = Collector::start(|_| http(200, b""));
    let telemetry = limited(&collector, "http/protobuf", &[]).build().unwrap();
    traced(&telemetry, || {
        info_span!("large", id = 7).in_scope(|| (0..100).for_each(|_| info!("{}", "x".repeat(1_000))));
        drop(info_span!("small"));
    });
    assert!(telemetry.force_flush(LONG));
    let found: Vec<_> = collector.requests().iter().flat_map(spans).collect();
    let names: Vec<_> = found.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["large", "small"]);
    assert!((4..=7).contains(&found[0].events.len()), "{}", found[0].events.len());
    assert_eq!(found[0].events.len() as u32 + found[0].dropped_events_count, 100);
    assert_eq!(found[0].attributes[0].key, "id");
    assert!(collector.requests().iter().all(|request| message(request).len() <= LIMIT));
}

#[test]
fn items_that_do_not_fit_are_counted_and_the_rest_is_sent() {
    let collector = Collector::start(|_| http(200, b""));
    let mut limits = campanile::telemetry::SpanLimits::default();
    limits.value_length = 1_000_000;
    let telemetry = limited(&collector, "http/protobuf", &[])
        .configure(|settings| settings.limits = limits)
        .build()
        .unwrap();
    traced(&telemetry, || {
        drop(info_span!("one"));
        drop(info_span!("large", "otel.name" = "x".repeat(10_000)));
        drop(info_span!("two"));
    });
    assert!(telemetry.force_flush(LONG));
    let found: Vec<_> = collector.requests().iter().flat_map(spans).map(|span| span.name).collect();
    assert_eq!(found, ["one", "two"]);
    assert_eq!(lost(&telemetry, "too_large"), 1.0);
}

#[test]
fn one_failed_message_does_not_affect_the_others() {
    for (protocol, refused) in [("http/protobuf", http(413, b"")), ("grpc", grpc(8))] {
        let collector = Collector::start(move |turn| match turn {
            1 => Response::clone(&refused),
            _ => answer(protocol, true),
        });
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")];
        let telemetry = limited(&collector, protocol, &more).build().unwrap();
        traced(&telemetry, || {
            let text = "x".repeat(1_000);
            (0..21).for_each(|n| drop(info_span!("order", n, text)));
        });
        assert!(telemetry.force_flush(LONG));
        let sent: Vec<_> = collector.requests().iter().map(|request| spans(request).len()).collect();
        assert_eq!(sent.iter().sum::<usize>(), 21, "{protocol}: {sent:?}");
        assert_eq!(lost(&telemetry, "export_failed"), sent[1] as f64, "{protocol}");
        assert_eq!(crate::otlp::failures(&telemetry), 1.0, "{protocol}");
    }
}

/// One metric with more points than fit into a message.
#[test]
fn metrics_are_split_by_their_points() {
    let collector = Collector::start(|_| http(200, b""));
    let mut otlp = OtlpSettings::default();
    (otlp.endpoint, otlp.message_limit) = (Some(collector.endpoint()), LIMIT);
    otlp.compression = OtlpCompression::Gzip;
    let telemetry = Telemetry::builder("test")
        .variables(|_| None)
        .otlp()
        .configure(|settings| settings.otlp_settings = otlp)
        .build()
        .unwrap();
    let meter = telemetry.meter_provider().meter("mine");
    let counter = meter.u64_counter("orders").with_unit("{order}").with_description("Orders.").build();
    let histogram = meter.f64_histogram("waits").build();
    for n in 0..300 {
        let by = [KeyValue::new("shop", format!("shop number {n}"))];
        counter.add(n, &by);
        histogram.record(n as f64, &by);
    }
    assert!(telemetry.force_flush(LONG));
    let (mut counted, mut recorded) = (BTreeMap::new(), BTreeMap::new());
    let mut messages = 0;
    for request in collector.requests().iter().filter(|request| request.path == "/v1/metrics") {
        let message = message(request);
        assert!(message.len() <= LIMIT, "{}", message.len());
        messages += 1;
        for resource in ExportMetricsServiceRequest::decode(&message[..]).unwrap().resource_metrics {
            assert!(resource.resource.is_some_and(|it| !it.attributes.is_empty()));
            let mine =
                resource.scope_metrics.into_iter().filter(|it| it.scope.as_ref().unwrap().name == "mine");
            for metric in mine.flat_map(|it| it.metrics) {
                match metric.data.unwrap() {
                    Data::Sum(sum) => {
                        assert_eq!(
                            (&*metric.name, &*metric.unit, &*metric.description),
                            ("orders", "{order}", "Orders.")
                        );
                        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                        for point in sum.data_points {
                            *counted.entry(format!("{:?}", point.attributes)).or_insert(0) += 1;
                        }
                    }
                    Data::Histogram(histogram) => {
                        for point in histogram.data_points {
                            *recorded.entry(format!("{:?}", point.attributes)).or_insert(0) += 1;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(messages > 2, "{messages}");
    for points in [counted, recorded] {
        assert_eq!(points.len(), 300);
        assert!(points.values().all(|times| *times == 1));
    }
}

#[test]
fn an_error_names_a_limit_that_is_too_small() {
    let mut otlp = OtlpSettings::default();
    otlp.message_limit = 1_000;
    let error = Telemetry::builder("test")
        .variables(|_| None)
        .otlp()
        .configure(|settings| settings.otlp_settings = otlp)
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("otlp_settings.message_limit") && error.contains("1000"), "{error}");
    let mut batch = BatchSettings::default();
    batch.queue_bytes = 1_000;
    let error = Telemetry::builder("test")
        .variables(|_| None)
        .configure(|settings| settings.batch = batch)
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("batch.queue_bytes") && error.contains("1000"), "{error}");
}
