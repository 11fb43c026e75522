//! P34: telemetry of the process, set up by its real environment, whatever runtime it is installed from.
//!
//! A process has one, so each runs in a process of its own: this same binary, with the test that is ignored.

#![cfg(feature = "otlp-grpc")]
#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

#[path = "telemetry/scripted.rs"]
#[allow(dead_code)] // Each test uses its part.
mod scripted;

use std::collections::BTreeSet;
use std::env;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::Console;
use http_body_util::Full;
use scripted::Collector;
use tokio::runtime::Builder;
use tracing::{info, info_span};

const LONG: Duration = Duration::from_secs(60);
const RUNTIME: &str = "CAMPANILE_TEST_RUNTIME";
const LIMIT: &str = "CAMPANILE_TEST_LIMIT";

/// Lives for a while in the runtime that the environment names; whether all was delivered is its output.
#[test]
#[ignore = "a process of the tests below"]
fn live() {
    let Ok(runtime) = env::var(RUNTIME) else { return };
    let limit = Duration::from_millis(env::var(LIMIT).unwrap().parse().unwrap());
    let life = move || {
        let telemetry = Telemetry::builder("code").otlp().console(Console::Off).install().unwrap();
        info_span!("order").in_scope(|| info!("an event"));
        let flushed = telemetry.force_flush(limit);
        info_span!("order").in_scope(|| info!("an event"));
        // On standard error, where the test harness does not look for its own.
        eprintln!("flushed: {flushed}, ended: {}", telemetry.shutdown(limit));
    };
    match runtime.as_str() {
        "none" => life(),
        "current" => Builder::new_current_thread().enable_all().build().unwrap().block_on(async { life() }),
        _ => {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            // On the only worker that there is.
            runtime.block_on(async { tokio::spawn(async move { life() }).await.unwrap() });
        }
    }
}

fn process(runtime: &str, limit: Duration, endpoint: &str, protocol: &str) -> String {
    let child = Command::new(env::current_exe().unwrap())
        .args(["live", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env(RUNTIME, runtime)
        .env(LIMIT, limit.as_millis().to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-from=environment")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(child.status.success(), "{runtime} {protocol}: {said}");
    said
}

const RUNTIMES: [&str; 3] = ["none", "current", "multi"];
const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

#[test]
fn p34_it_works_in_every_kind_of_runtime() {
    for protocol in PROTOCOLS {
        for runtime in RUNTIMES {
            let fine = |_| http::Response::builder().header("grpc-status", 0).body(Full::default()).unwrap();
            let collector = Collector::start(fine);
            let said = process(runtime, LONG, &collector.endpoint(), protocol);
            assert!(said.contains("flushed: true, ended: true"), "{runtime} {protocol}: {said}");
            let requests = collector.requests();
            assert!(requests.iter().all(|request| request.headers["x-from"] == "environment"));
            // Each signal when it was flushed and when it ended.
            let paths: BTreeSet<_> = requests.iter().map(|request| request.path.as_str()).collect();
            assert!(paths.len() == 3 && requests.len() >= 6, "{runtime} {protocol}: {paths:?}");
        }
    }
}

#[test]
fn p34_it_ends_in_every_kind_of_runtime_with_a_collector_that_never_answers_or_is_none() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoints = [mute.local_addr().unwrap(), nobody].map(|address| format!("http://{address}"));
    thread::spawn(move || mute.incoming().collect::<Vec<_>>());
    for protocol in PROTOCOLS {
        for runtime in RUNTIMES {
            for endpoint in &endpoints {
                let said = process(runtime, Duration::from_millis(100), endpoint, protocol);
                assert!(said.contains("flushed: false, ended: "), "{runtime} {protocol}: {said}");
            }
        }
    }
}
