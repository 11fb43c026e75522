//! P34: telemetry is installed from any kind of runtime, and configured by the real environment.
//!
//! Only one pipeline can be installed per process, so each case runs this binary again with the ignored test.

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

/// Installs telemetry in the runtime that the environment names, and prints whether everything was exported.
#[test]
#[ignore = "the child process of the other tests"]
fn child() {
    let Ok(runtime) = env::var(RUNTIME) else { return };
    let limit = Duration::from_millis(env::var(LIMIT).unwrap().parse().unwrap());
    let life = move || {
        let telemetry = Telemetry::builder("code").otlp().console(Console::Off).install().unwrap();
        info_span!("order").in_scope(|| info!("an event"));
        let flushed = telemetry.force_flush(limit);
        info_span!("order").in_scope(|| info!("an event"));
        // On standard error, because the test harness uses standard output.
        eprintln!("flushed: {flushed}, ended: {}", telemetry.shutdown(limit));
    };
    match runtime.as_str() {
        "none" => life(),
        "current" => Builder::new_current_thread().enable_all().build().unwrap().block_on(async { life() }),
        _ => {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            // On the only worker thread.
            runtime.block_on(async { tokio::spawn(async move { life() }).await.unwrap() });
        }
    }
}

fn process(runtime: &str, limit: Duration, endpoint: &str, protocol: &str) -> String {
    let child = Command::new(env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env(RUNTIME, runtime)
        .env(LIMIT, limit.as_millis().to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-from=environment")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(child.status.success(), "{runtime} {protocol}: {output}");
    output
}

const RUNTIMES: [&str; 3] = ["none", "current", "multi"];
const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

#[test]
fn p34_exports_work_in_every_kind_of_runtime() {
    for protocol in PROTOCOLS {
        for runtime in RUNTIMES {
            let success =
                |_| http::Response::builder().header("grpc-status", 0).body(Full::default()).unwrap();
            let collector = Collector::start(success);
            let output = process(runtime, LONG, &collector.endpoint(), protocol);
            assert!(output.contains("flushed: true, ended: true"), "{runtime} {protocol}: {output}");
            let requests = collector.requests();
            assert!(requests.iter().all(|request| request.headers["x-from"] == "environment"));
            // Each signal is exported by the flush and by the shutdown.
            let paths: BTreeSet<_> = requests.iter().map(|request| request.path.as_str()).collect();
            assert!(paths.len() == 3 && requests.len() >= 6, "{runtime} {protocol}: {paths:?}");
        }
    }
}

#[test]
fn p34_shutdown_ends_in_every_kind_of_runtime_without_an_answer_of_a_collector() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoints = [silent.local_addr().unwrap(), refusing].map(|address| format!("http://{address}"));
    thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    for protocol in PROTOCOLS {
        for runtime in RUNTIMES {
            for endpoint in &endpoints {
                let output = process(runtime, Duration::from_millis(100), endpoint, protocol);
                assert!(output.contains("flushed: false, ended: "), "{runtime} {protocol}: {output}");
            }
        }
    }
}
