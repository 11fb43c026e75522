//! Logs about exports contain no secret, even with the log of opentelemetry-otlp on.

#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use tracing::{Event, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

const LONG: Duration = Duration::from_secs(60);

/// A layer that keeps all events, of every level and thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        writeln!(self.0.lock().unwrap(), "{event:?}").unwrap();
    }
}

/// A collector that gives one of these answers per connection.
fn collector(answers: [&'static str; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            // The request is not needed. One read takes all or most of it.
            assert!(stream.read(&mut [0; 65_536]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

#[test]
fn no_log_contains_a_secret() {
    let log = Log::default();
    let endpoint = collector([
        "HTTP/1.1 401 Unauthorized\r\nx-token: hunter2\r\nconnection: close\r\ncontent-length: 7\r\n\r\nhunter2",
        "HTTP/1.1 200 OK\r\nx-token: hunter2\r\nconnection: close\r\ncontent-length: 10\r\n\r\n\n\u{8}\u{12}\u{6}hunter",
    ]);
    let endpoint = format!("{endpoint}/hunter2?token=hunter2");
    let telemetry = Telemetry::builder("test").otlp().variables(move |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=hunter2".to_owned()),
        "OTEL_METRICS_EXPORTER" | "OTEL_LOGS_EXPORTER" => Some("none".to_owned()),
        _ => None,
    });
    let telemetry = telemetry.build().unwrap();
    tracing_subscriber::registry().with(log.clone()).with(telemetry.span_layer()).init();
    for flushed in [false, true] {
        drop(info_span!("order"));
        assert_eq!(telemetry.force_flush(LONG), flushed);
    }
    let log = log.0.lock().unwrap().clone();
    for text in
        ["opentelemetry-otlp", "HttpClient.NetworkError", "the collector answered with HTTP status 401"]
    {
        assert!(log.contains(text), "{text} is not in {log}");
    }
    let leaked = log.lines().filter(|line| line.contains("hunter2")).collect::<Vec<_>>();
    assert!(leaked.is_empty(), "{leaked:?}");
}
