//! Real processes that get real signals, under load and in trouble.

use std::net::TcpListener;
use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::child::{COLLECTOR, Child, LETTERS};
use crate::load::{Load, client, get};

/// A grace period of several probes, which ends while the long requests that began in it are in progress.
const UNDER_LOAD: &str = r#"{ "grace": "1s", "drain": "10s" }"#;
const AT_ONCE: &str = r#"{ "grace": 0, "drain": "500ms", "letters": "2s", "telemetry": "1s" }"#;

/// Kills one of two servers after half of the requests, and accounts for each of them.
async fn kill_under_load(http2: bool, total: u64) {
    let (first, second) = (Child::start(UNDER_LOAD, &[]), Child::start(UNDER_LOAD, &[]));
    let (load, ledger) = Load::start([first.address, second.address], http2, total, 32);
    let ledger = tokio::spawn(ledger);
    load.half().await;
    first.signal("TERM");
    let end = first.end();
    let ledger = ledger.await.unwrap();
    second.signal("TERM");
    let other = second.end();

    let lost = &ledger.lost;
    assert!(lost.is_empty(), "{} requests are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert!(end.is_complete() && other.is_complete(), "{end:?} {other:?}");
    // Each request that a server finished was answered, and no other.
    assert_eq!([end.finished.unwrap(), other.finished.unwrap()], ledger.answered);
    let [first, second] = ledger.answered;
    assert!(first + second > total && first >= total / 2 && second > 0, "{ledger:?}");
    println!(
        "{total} requests and {} long ones, {first} before and {second} after: 0 lost",
        first + second - total
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_none_of_20_000_requests() {
    kill_under_load(false, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_no_request_of_http2() {
    kill_under_load(true, 8_000).await;
}

/// `wrk` keeps its connections and knows no readiness; it ends within the grace period.
#[cfg(campanile_real_servers)]
#[test]
fn sigterm_loses_no_request_of_wrk() {
    const CONNECTIONS: u64 = 32;
    let child = Child::start(r#"{ "grace": "5s" }"#, &[]);
    let wrk = std::process::Command::new(crate::support::tool("wrk"))
        .args(["--threads", "2", "--connections", &CONNECTIONS.to_string(), "--duration", "3s"])
        .arg(format!("http://{}/work/1", child.address))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    child.signal("TERM");
    let output = wrk.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && !text.contains("Socket errors") && !text.contains("Non-2xx"),
        "{text}"
    );
    let answered: u64 =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")).unwrap().0.parse().unwrap();
    let end = child.end();
    let finished = end.finished.unwrap();
    // When it ends, it leaves the last request of each connection.
    assert!(end.is_complete() && (answered..=answered + CONNECTIONS).contains(&finished), "{text}{end:?}");
    println!("{text}{finished} finished: 0 lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_streams_get_the_drain_and_end_in_order() {
    let child = Child::start(UNDER_LOAD, &[]);
    let channel = Channel::from_shared(format!("http://{}", child.address)).unwrap().connect_lazy();
    let mut client = HealthClient::new(channel);
    let request = || HealthCheckRequest { service: String::new() };
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = client.watch(request()).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        streams.push(stream);
    }
    child.signal("TERM");
    assert_eq!(streams[0].message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    client.check(request()).await.expect("calls are answered during the grace period");
    for stream in &mut streams[1..] {
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    for stream in &mut streams {
        assert!(stream.message().await.unwrap().is_none(), "it ends without an error");
    }
    let end = child.end();
    assert!(end.is_complete(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_is_reported_and_the_process_ends() {
    let child = Child::start(AT_ONCE, &[]);
    let address = child.address;
    let hanging = tokio::spawn(async move { get(&client(false), address, "/hang").await });
    assert_eq!(child.line(), "hangs");
    child.signal("TERM");
    let end = child.end();
    assert!(end.status.success(), "{end:?}");
    assert!(end.step("drain").starts_with("drain timed_out after 0.5"), "{end:?}");
    assert!(end.step("drain").ends_with("; left: 1 request on 1 connection"), "{end:?}");
    assert!(hanging.await.unwrap().is_err());
    assert_eq!(end.steps.len(), 5, "the other steps ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let child = Child::start(r#"{ "grace": "10m", "total": "20m" }"#, &[]);
        let address = child.address;
        assert!(get(&client(false), child.metrics, "/readyz").await.unwrap().0.is_success());
        child.signal("TERM");
        // The probes have a port of their own, which answers until the end.
        while get(&client(false), child.metrics, "/readyz").await.unwrap().0.is_success() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(get(&client(false), address, "/work/1").await.unwrap().0.is_success(), "it serves");
        child.signal(signal);
        let end = child.end();
        assert_eq!((end.status.code(), end.finished), (Some(code), None), "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_is_reported_and_the_process_ends() {
    // It accepts by its queue, and never answers.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let child = Child::start(AT_ONCE, &[(COLLECTOR, &endpoint)]);
    child.signal("INT");
    let end = child.end();
    assert!(end.status.success(), "{end:?}");
    let step = end.step("telemetry");
    assert!(step.starts_with("telemetry timed_out after 1."), "{step}");
    assert!(step.ends_with("; left: some spans, metrics or logs were not delivered"), "{step}");
    assert!(end.step("metrics_server").contains("completed"), "{end:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_drops_letters_that_are_reported_and_the_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letters.db");
    let settings = r#"{ "grace": "500ms", "drain": "5s" }"#;
    let child = Child::start(settings, &[(LETTERS, file.to_str().unwrap())]);
    let (address, http) = (child.address, client(false));
    let parking = |count: usize| {
        let sent = (0..count).map(|_| {
            let http = http.clone();
            tokio::spawn(async move { get(&http, address, "/park").await.unwrap().0.as_u16() })
        });
        sent.collect::<Vec<_>>()
    };
    let before = parking(1);
    assert_eq!(child.line(), "parks");
    for sent in before {
        assert_eq!(sent.await.unwrap(), 502);
    }
    // It is parked. The next ones fail in the drain, when the disk is full.
    child.limit_files(16_384);
    let during = parking(3);
    for _ in 0..3 {
        assert_eq!(child.line(), "parks");
    }
    child.signal("TERM");
    for sent in during {
        assert_eq!(sent.await.unwrap(), 502, "the callers get their answers");
    }
    let end = child.end();
    assert!(end.status.success(), "{end:?}");
    let step = end.step("letters");
    assert!(
        step.starts_with("letters failed") && step.ends_with("queue `orders`: dropped letters: 3"),
        "{step}"
    );
    let queue = campanile::DeadLetterQueue::builder("orders").sqlite(file).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 1, "what was parked is there");
}
