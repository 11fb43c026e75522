//! OTLP requests, and reactions to the answers of a collector.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::{OtlpCompression, OtlpProtocol, OtlpSettings, TelemetryBuilder, TelemetryError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tracing::info_span;
use tracing_subscriber::prelude::*;

use crate::scripted::{Collector, Request, grpc, grpc_with, http};
use crate::support::{LONG, in_time};

type Set = Vec<(&'static str, String)>;

/// A pipeline that exports spans only, so that each request is an export of spans.
pub(crate) fn builder(endpoint: &str, protocol: &str, more: &[(&'static str, &str)]) -> TelemetryBuilder {
    let mut set: Set = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_owned()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ("OTEL_METRICS_EXPORTER", "prometheus".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
    ];
    set.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Telemetry::builder("test").otlp().variables(find(set))
}

fn find(set: Set) -> impl Fn(&str) -> Option<String> {
    move |name| set.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn span(telemetry: &Telemetry) {
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || drop(info_span!("order")));
}

pub(crate) fn number(telemetry: &Telemetry, name: &str, label: (&str, &str)) -> f64 {
    crate::red::value(&telemetry.prometheus_text(), name, &[label]).unwrap_or_default()
}

pub(crate) fn lost(telemetry: &Telemetry, reason: &str) -> f64 {
    number(telemetry, "campanile_telemetry_spans_dropped_total", ("reason", reason))
}

pub(crate) fn failures(telemetry: &Telemetry) -> f64 {
    number(telemetry, "campanile_telemetry_export_failures_total", ("signal", "traces"))
}

/// The names of the spans in a request.
fn names(request: &Request) -> Vec<String> {
    spans(request).into_iter().map(|span| span.name).collect()
}

pub(crate) fn spans(request: &Request) -> Vec<Span> {
    let message = ExportTraceServiceRequest::decode(&message(request)[..]).unwrap();
    let scopes = message.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    scopes.flat_map(|it| it.spans).collect()
}

/// The message in a request, without frame and compression.
pub(crate) fn message(request: &Request) -> Vec<u8> {
    let mut body = request.body.to_vec();
    let mut gzip = request.headers.get("content-encoding").is_some_and(|it| it == "gzip");
    if request.headers["content-type"] == "application/grpc" {
        gzip = body[0] == 1;
        assert_eq!(gzip, request.headers.get("grpc-encoding").is_some_and(|it| it == "gzip"));
        assert_eq!(body[1..5], u32::try_from(body.len() - 5).unwrap().to_be_bytes());
        body.drain(..5);
    }
    if gzip {
        let packed = std::mem::take(&mut body);
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut body).unwrap();
    }
    body
}

pub(crate) fn answer(protocol: &str, success: bool) -> http::Response<http_body_util::Full<bytes::Bytes>> {
    match (protocol, success) {
        ("grpc", true) => grpc(0),
        ("grpc", false) => grpc(14),
        (_, true) => http(200, b""),
        (_, false) => http(503, b""),
    }
}

pub(crate) const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

#[test]
fn variables_set_headers_and_compression() {
    for protocol in PROTOCOLS {
        for (compression, packed) in [("none", false), ("gzip", true)] {
            let collector = Collector::start(move |_| answer(protocol, true));
            let more = [
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20aHVudGVyMg==,te=no"),
            ];
            let telemetry = builder(&collector.endpoint(), protocol, &more).build().unwrap();
            span(&telemetry);
            assert!(telemetry.shutdown(LONG));
            let requests = collector.requests();
            assert_eq!(requests.len(), 1);
            let Request { path, headers, .. } = &requests[0];
            assert_eq!(names(&requests[0]), ["order"]);
            assert_eq!(headers["authorization"], "Basic aHVudGVyMg==");
            assert!(headers["user-agent"].to_str().unwrap().starts_with("campanile-OTLP-Exporter-Rust/"));
            if protocol == "grpc" {
                assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
                assert_eq!(headers["te"], "trailers", "a header of the protocol is replaced");
                assert!(headers.contains_key("grpc-timeout"));
            } else {
                assert_eq!(path, "/v1/traces");
                assert_eq!(headers["content-type"], "application/x-protobuf");
                assert_eq!(headers.contains_key("content-encoding"), packed);
            }
            assert!(!format!("{telemetry:?}").contains("hunter2"));
        }
    }
}

#[test]
fn settings_set_headers_and_compression_and_a_signal_may_differ() {
    let collector = Collector::start(|_| http(200, b""));
    let mut settings = OtlpSettings::default();
    settings.endpoint = Some(collector.endpoint());
    settings.protocol = OtlpProtocol::HttpProtobuf;
    settings.compression = OtlpCompression::Gzip;
    settings.headers = [("x-a", "1"), ("x-b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let set = vec![
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-b=3".to_owned()),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-b=4".to_owned()),
    ];
    let telemetry = Telemetry::builder("test")
        .otlp()
        .configure(|it| it.otlp_settings = settings)
        .variables(find(set))
        .build()
        .unwrap();
    span(&telemetry);
    assert!(telemetry.shutdown(LONG));
    let requests = collector.requests();
    let of = |path: &str| &requests.iter().find(|request| request.path == path).unwrap().headers;
    assert_eq!(
        (&of("/v1/traces")["x-a"], &of("/v1/traces")["x-b"]),
        (&"1".parse().unwrap(), &"3".parse().unwrap())
    );
    assert_eq!(of("/v1/metrics")["x-b"], "4");
    assert_eq!(of("/v1/metrics")["content-encoding"], "gzip");
}

#[test]
fn p34_transient_errors_are_retried_within_the_timeout() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(move |turn| answer(protocol, turn > 1));
        let telemetry = builder(&collector.endpoint(), protocol, &[]).build().unwrap();
        span(&telemetry);
        assert!(telemetry.force_flush(LONG), "the third attempt fails");
        let requests = collector.requests();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|request| names(request) == ["order"]));
        assert_eq!(lost(&telemetry, "export_failed"), 0.0);
        assert_eq!(failures(&telemetry), 0.0);
    }
}

#[test]
fn p34_permanent_errors_are_not_retried() {
    for protocol in PROTOCOLS {
        // A permanent error, then `Retry-After` beyond the timeout of an export.
        let collector = Collector::start(move |turn| match (turn, protocol) {
            (0, "grpc") => grpc(16),
            (0, _) => http(401, b"the token hunter2 is wrong"),
            (_, "grpc") => grpc(14),
            _ => http::Response::builder()
                .status(429)
                .header("retry-after", "3600")
                .body(http_body_util::Full::default())
                .unwrap(),
        });
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
        let telemetry = builder(&collector.endpoint(), protocol, &more).build().unwrap();
        span(&telemetry);
        assert!(!telemetry.force_flush(LONG));
        assert_eq!(collector.requests().len(), 1, "a permanent error is retried");
        span(&telemetry);
        assert!(!telemetry.force_flush(LONG));
        assert_eq!(lost(&telemetry, "export_failed"), 2.0);
        assert_eq!(failures(&telemetry), 2.0);
    }
}

#[test]
fn rejected_items_are_counted() {
    // partial_success { rejected: 2, error_message: "no" }
    let collector = Collector::start(|_| http(200, b"\x0a\x06\x08\x02\x12\x02no"));
    let telemetry = builder(&collector.endpoint(), "http/protobuf", &[]).build().unwrap();
    (0..5).for_each(|_| span(&telemetry));
    assert!(telemetry.force_flush(LONG));
    assert_eq!(lost(&telemetry, "rejected"), 2.0);
    assert_eq!(lost(&telemetry, "export_failed"), 0.0);
    assert_eq!(failures(&telemetry), 1.0);
}

/// The status of the answer shows that the collector accepted the items.
#[test]
fn an_answer_that_breaks_off_is_not_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (Vec::<u8>::new(), [0; 4_096]);
        // The name of the span is near the end of the message.
        while !request.windows(5).any(|five| five == b"order") {
            let bytes = stream.read(&mut buffer).unwrap();
            request.extend(&buffer[..bytes]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\ncut").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Unread bytes would reset the connection when it is closed.
        while matches!(stream.read(&mut buffer), Ok(1..)) {}
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let telemetry = builder(&endpoint, "http/protobuf", &[]).build().unwrap();
    span(&telemetry);
    assert!(telemetry.force_flush(LONG));
    assert_eq!((lost(&telemetry, "export_failed"), failures(&telemetry)), (0.0, 0.0));
    assert!(collector.join().unwrap().accept().is_err(), "the export was sent again");
}

#[test]
fn a_collector_cannot_overflow_the_count_of_rejected_items() {
    // partial_success { rejected: i64::MAX }
    let most = b"\x0a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    let collector = Collector::start(|_| http(200, most));
    let telemetry = builder(&collector.endpoint(), "http/protobuf", &[]).build().unwrap();
    let counts = [1, 2, 3].map(|_| {
        span(&telemetry);
        telemetry.force_flush(LONG);
        lost(&telemetry, "rejected")
    });
    assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
}

#[test]
fn the_longest_timeout_can_be_set() {
    let collector = Collector::start(|_| http(200, b""));
    let mut otlp = OtlpSettings::default();
    (otlp.endpoint, otlp.timeout) = (Some(collector.endpoint()), Duration::MAX);
    let telemetry = builder(&collector.endpoint(), "http/protobuf", &[])
        .otlp()
        .configure(|settings| settings.otlp_settings = otlp)
        .build()
        .unwrap();
    span(&telemetry);
    assert!(telemetry.force_flush(LONG));
}

/// As over HTTP: each signal has its own count.
#[test]
fn rejected_items_are_counted_over_grpc() {
    let collector = Collector::start(|_| grpc_with(b"\0\0\0\0\x08\x0a\x06\x08\x02\x12\x02no"));
    let more = [("OTEL_LOGS_EXPORTER", "otlp")];
    let telemetry = builder(&collector.endpoint(), "grpc", &more).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || tracing::info!("an order"));
    (0..5).for_each(|_| span(&telemetry));
    assert!(telemetry.force_flush(LONG));
    assert_eq!(collector.requests().len(), 2);
    assert_eq!(lost(&telemetry, "rejected"), 2.0);
    assert_eq!(lost(&telemetry, "export_failed"), 0.0);
    assert_eq!(failures(&telemetry), 1.0);
    let logs = ("reason", "rejected");
    assert_eq!(number(&telemetry, "campanile_telemetry_logs_dropped_total", logs), 2.0);
}

#[test]
fn p34_exports_continue_after_a_restart_of_the_collector() {
    for protocol in PROTOCOLS {
        in_time(move || {
            let collector = Collector::start(move |_| answer(protocol, true));
            let address = collector.address;
            let telemetry = builder(&collector.endpoint(), protocol, &[]).build().unwrap();
            span(&telemetry);
            assert!(telemetry.force_flush(LONG));
            drop(collector);
            span(&telemetry);
            assert!(
                !telemetry.force_flush(Duration::from_millis(50)),
                "the flush succeeds without a collector"
            );
            // The export is still retried, and the next one waits in the queue.
            let back = Collector::start_at(address, move |_| answer(protocol, true));
            span(&telemetry);
            assert!(telemetry.force_flush(LONG));
            let names: Vec<_> = back.requests().iter().flat_map(names).collect();
            assert_eq!(names, ["order", "order"], "{protocol}: the queue is lost");
            assert_eq!(lost(&telemetry, "export_failed"), 0.0);
        });
    }
}

/// Forwards bytes to `target`. Once `cut` is set, the first connection drops all bytes silently, like a network that lost a
/// machine.
fn lossy(target: SocketAddr, cut: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut cut = Some(Arc::clone(cut));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (client, server) = (stream.unwrap(), TcpStream::connect(target).unwrap());
            let cut = cut.take();
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                let cut = cut.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4_096];
                    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
                        let swallow = cut.as_ref().is_some_and(|cut| cut.load(Ordering::Relaxed));
                        if !swallow && to.write_all(&buffer[..bytes]).is_err() {
                            break;
                        }
                    }
                });
            }
        }
    });
    address
}

#[test]
fn p34_a_dead_connection_is_replaced() {
    for protocol in PROTOCOLS {
        in_time(move || {
            let collector = Collector::start(move |_| answer(protocol, true));
            let cut = Arc::new(AtomicBool::new(false));
            let address = lossy(collector.address, &cut);
            let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")];
            let telemetry = builder(&format!("http://{address}"), protocol, &more).build().unwrap();
            for (dead, flushed) in [(false, true), (true, false), (true, true)] {
                cut.store(dead, Ordering::Relaxed);
                span(&telemetry);
                assert_eq!(telemetry.force_flush(LONG), flushed, "{protocol}");
            }
            assert_eq!(lost(&telemetry, "export_failed"), 1.0);
            assert_eq!(collector.requests().len(), 2);
        });
    }
}

#[test]
fn p34_shutdown_does_not_wait_for_a_dead_collector() {
    in_time(|| {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")];
        for protocol in PROTOCOLS {
            let telemetry = builder(&format!("http://{unused}"), protocol, &more).build().unwrap();
            span(&telemetry);
            // The export is being retried.
            assert!(!telemetry.force_flush(Duration::from_millis(20)));
            // It ends because the shutdown stops the retries, long before this limit.
            telemetry.shutdown(Duration::from_secs(3_600));
        }
    });
}

#[test]
fn errors_name_invalid_values_and_show_no_secrets() {
    for (name, value, shown) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "0"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "brotli"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "hunter2", "the given value (not shown)"),
    ] {
        let error = builder("http://127.0.0.1:1", "grpc", &[(name, value)]).build().unwrap_err();
        let TelemetryError::Setting(error) = error else { panic!("{error}") };
        assert_eq!((error.setting(), error.value()), (name, shown));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
