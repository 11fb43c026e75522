//! The metrics server, called as from a program without a runtime.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::serve::{MetricsServer, MetricsServerSettings, Shutdown, ShutdownStep};
use opentelemetry::metrics::MeterProvider;

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn telemetry() -> Telemetry {
    Telemetry::builder("nightly").prometheus().build().unwrap()
}

/// What the server sends for `head`, until it closes the connection.
fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nhost: nightly\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn code(address: SocketAddr, head: &str) -> String {
    ask(address, head).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn it_answers_without_a_runtime_of_the_program() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).build().unwrap();
    let address = server.address();
    telemetry.meter_provider().meter("shop").u64_counter("orders").build().add(3, &[]);
    let metrics = ask(address, "GET /metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.contains("\norders_total"), "{metrics}");
    assert!(metrics.contains("connection: close\r\n"), "one request for each connection: {metrics}");
    let head = ask(address, "HEAD /metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for probe in ["/livez", "/readyz", "/startupz", "/healthz"] {
        assert_eq!(code(address, &format!("GET {probe}")), "200", "{probe}");
    }
    assert_eq!(code(address, "GET /"), "404");
    let post = ask(address, "POST /metrics");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
    telemetry.health().drain();
    assert_eq!((code(address, "GET /readyz"), code(address, "GET /livez")), ("503".into(), "200".into()));

    let without = MetricsServer::builder(&telemetry).listen(LOOPBACK).probes(false).build().unwrap();
    assert_eq!(code(without.address(), "GET /livez"), "404");
    assert_eq!(code(without.address(), "GET /metrics"), "200");

    drop(server);
    let is_closed = (0..1_000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        TcpStream::connect(address).is_err()
    });
    assert!(is_closed, "the port is still open");
}

#[test]
fn a_port_in_use_is_named() {
    let telemetry = telemetry();
    let taken = TcpListener::bind(LOOPBACK).unwrap();
    let address = taken.local_addr().unwrap();
    let error = MetricsServer::builder(&telemetry).listen(address).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "setting `metrics.listen` cannot be {address}: another program listens there; end it, or choose another port"
        )
    );
    let error = MetricsServer::builder(&telemetry).listen(([203, 0, 113, 7], 1)).build().unwrap_err();
    assert!(error.to_string().contains("choose an address of this machine"), "{error}");
    let error = MetricsServer::builder(&telemetry).listen(LOOPBACK).max_connections(0).build().unwrap_err();
    assert_eq!(error.setting(), "metrics.max_connections");
}

#[test]
fn settings_are_secure_by_default_and_read_strictly() {
    let default = MetricsServerSettings::default();
    assert!(default.listen.ip().is_loopback());
    assert_eq!((default.listen.port(), default.max_connections), (9_464, 64));
    let settings: MetricsServerSettings =
        serde_json::from_str(r#"{ "listen": "[::1]:8000", "probes": false }"#).unwrap();
    assert_eq!((settings.listen.port(), settings.probes), (8_000, false));
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<MetricsServerSettings>(&text).unwrap(), settings);
    let error = |text| serde_json::from_str::<MetricsServerSettings>(text).unwrap_err().to_string();
    let address = error(r#"{ "listen": "localhost" }"#);
    let allowed = "listen cannot be \"localhost\"; allowed: an address and a port, such as 127.0.0.1:9464";
    assert!(address.contains(allowed), "{address}");
    let unknown = error(r#"{ "port": 8000 }"#);
    assert!(unknown.contains("unknown field `port`") && unknown.contains("`listen`"), "{unknown}");
}

#[test]
fn open_connections_are_bounded_and_the_oldest_ends_first() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).max_connections(4).build().unwrap();
    let silent: Vec<_> = (0..4).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(code(server.address(), "GET /livez"), "200");
    let mut oldest = &silent[0];
    oldest.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // It ends long before its head is overdue.
    assert!(matches!(oldest.read(&mut [0]), Ok(0)));
}

#[test]
fn a_slow_head_and_a_long_one_are_refused() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).build().unwrap();
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost").unwrap();
    let long = ask(server.address(), &format!("GET /metrics?{}", "x".repeat(20_000)));
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");
    // Longer than the limit of a head, shorter than that of a connection.
    slow.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).expect("the server closes the connection");
}

/// Scrapers that give up come again.
#[test]
fn scrapes_that_hang_leave_a_thread_for_the_probes() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let meter = telemetry.meter_provider().meter("shop");
    let _gauge = meter
        .u64_observable_gauge("depth")
        .with_callback(move |_| {
            let _ = released.lock().unwrap().recv();
        })
        .build();
    let scrapes: Vec<_> = (0..32)
        .map(|_| {
            let mut scrape = TcpStream::connect(server.address()).unwrap();
            scrape.write_all(b"GET /metrics HTTP/1.1\r\nhost: nightly\r\n\r\n").unwrap();
            scrape
        })
        .collect();
    // An answer that comes after them.
    assert_eq!(code(server.address(), "GET /livez"), "200");
    for probe in ["/readyz", "/startupz", "/healthz"] {
        assert_eq!(code(server.address(), &format!("GET {probe}")), "200", "{probe}");
    }
    drop((release, scrapes));
}

#[test]
fn a_metric_that_hangs_or_panics_leaves_the_probes_alone() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).build().unwrap();
    let address = server.address();
    let (entered, is_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let meter = telemetry.meter_provider().meter("shop");
    let _gauge = meter
        .u64_observable_gauge("depth")
        .with_callback(move |_| {
            let _ = entered.send(());
            let _ = released.lock().unwrap().recv();
        })
        .build();
    let scrape = thread::spawn(move || code(address, "GET /metrics"));
    is_entered.recv().unwrap();
    for probe in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(code(address, &format!("GET {probe}")), "200", "{probe}");
    }
    drop(release);
    assert_eq!(scrape.join().unwrap(), "200");
}

#[tokio::test]
async fn it_answers_while_the_runtime_is_blocked_and_ends_last() {
    let telemetry = telemetry();
    let server = MetricsServer::builder(&telemetry).listen(LOOPBACK).build().unwrap();
    let address = server.address();
    let shutdown = Shutdown::builder().telemetry(&telemetry).metrics_server(server);
    let shutdown = shutdown.signal(async {}).grace(Duration::ZERO).build().unwrap();
    let report = shutdown
        .run(|stop| async move {
            stop.await;
            // This blocks the only thread of the runtime, during the drain.
            assert_eq!(code(address, "GET /livez"), "200");
            assert_eq!(code(address, "GET /readyz"), "503");
            assert!(ask(address, "GET /metrics").contains("target_info"));
            Ok::<_, Infallible>(())
        })
        .await
        .unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps[2..], [ShutdownStep::Telemetry, ShutdownStep::MetricsServer]);
    assert!(report.is_complete(), "{report}");
    assert!(TcpStream::connect(address).is_err());
}
