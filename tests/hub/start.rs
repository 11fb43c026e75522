//! What starts, what is left out, and what is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use campanile::Campanile;
use campanile::hub::StartError;
use campanile::serve::ShutdownStep;

use crate::alone::alone;
use crate::program::{faults, program, started};
use crate::support::ports;

#[tokio::test]
async fn a_program_without_settings_starts_whole() {
    let campanile = Campanile::builder("shop")
        .environment([])
        .telemetry(|telemetry| telemetry.variables(|_| None))
        .start()
        .await
        .unwrap();
    assert_eq!(faults(&campanile), []);
    assert!(campanile.health().is_ready());
    let (server, worker) =
        (campanile.server("api").build().unwrap(), campanile.worker("import").build().await);
    assert_eq!((server.name(), worker.unwrap().name()), ("api", "import"));
    let payments = campanile.dependency("payments").build().await.unwrap();
    assert!(payments.retry().is_some() && payments.breaker().is_some() && payments.letters().is_none());
    assert_eq!(campanile.config().settings().telemetry.service_name, "shop");
}

fn taken() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("metrics.listen={}", taken.local_addr().unwrap());
    (taken, listen)
}

#[tokio::test]
async fn a_port_that_is_taken_is_left_out_and_listed() {
    let (taken, listen) = taken();
    let campanile = started(&[&listen]).await;
    let [fault] = &faults(&campanile)[..] else { panic!("{:?}", campanile.faults()) };
    assert_eq!(fault.part(), "the port for metrics");
    let text = fault.to_string();
    assert!(text.starts_with("the port for metrics did not start: "), "{text}");
    assert!(text.contains(&taken.local_addr().unwrap().to_string()), "{text}");
    assert!(text.contains("another program listens there"), "{text}");
    let payments = campanile.dependency("beside a taken port").build().await.unwrap();
    assert_eq!(payments.call(|| async { Ok::<_, String>(7) }).await.unwrap(), 7);
}

#[tokio::test]
async fn letters_whose_file_cannot_be_used_are_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    // A folder is no file.
    let store = format!("letters.store={{kind=\"sqlite\", path={:?}}}", folder.path());
    let names = [format!("dependency.unstored.{store}"), format!("worker.unstored.{store}")];
    let campanile = started(&[&names[0], &names[1]]).await;
    assert_eq!(faults(&campanile), []);
    let dependency = campanile.dependency("unstored").build().await.unwrap();
    let worker = campanile.worker("unstored").build().await.unwrap();
    let found = faults(&campanile);
    let parts: Vec<_> = found.iter().map(|fault| fault.part()).collect();
    assert_eq!(
        parts,
        ["the store of letters of dependency `unstored`", "the store of letters of worker `unstored`"]
    );
    assert!(found[0].reason().contains("are kept in memory"), "{}", found[0]);
    for letters in [dependency.letters().unwrap(), worker.letters()] {
        assert!(letters.is_empty().await.unwrap());
    }
}

const NO_ENDPOINT: [&str; 2] = ["telemetry.otlp=true", "telemetry.otlp_settings.endpoint=\"nonsense\""];

#[test]
fn exporters_that_cannot_start_are_left_out() {
    alone("start::exporters_that_cannot_start_are_left_out", || {
        let campanile = tokio_test::block_on(started(&NO_ENDPOINT));
        let [fault] = &campanile.faults()[..] else { panic!("{:?}", campanile.faults()) };
        assert_eq!(fault.part(), "the pipeline with its exporters");
        assert!(fault.reason().contains("`nonsense/v1/traces`"), "{fault}");
        assert!(fault.reason().contains("nothing is exported"), "{fault}");
    });
}

#[test]
fn exporters_and_the_subscriber_can_both_be_left_out() {
    alone("start::exporters_and_the_subscriber_can_both_be_left_out", || {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
        let campanile = tokio_test::block_on(started(&NO_ENDPOINT));
        let parts: Vec<_> = campanile.faults().iter().map(|fault| fault.part().to_owned()).collect();
        assert_eq!(parts, ["the global subscriber", "the pipeline with its exporters"]);
        let strict = tokio_test::block_on(program(&[]).strict(true).start());
        let Err(StartError::Part(fault)) = strict else { panic!("{strict:?}") };
        assert_eq!(fault.part(), "the global subscriber");
        assert!(fault.reason().contains("span_layer"), "{fault}");
    });
}

#[test]
fn a_strict_start_refuses_exporters_that_cannot_start() {
    alone("start::a_strict_start_refuses_exporters_that_cannot_start", || {
        let refused = tokio_test::block_on(program(&NO_ENDPOINT).strict(true).start());
        let Err(StartError::Part(fault)) = refused else { panic!("{refused:?}") };
        assert_eq!(fault.part(), "the pipeline with its exporters");
    });
}

#[test]
fn a_strict_program_refuses_a_part_whose_letters_do_not_start() {
    alone("start::a_strict_program_refuses_a_part_whose_letters_do_not_start", || {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("dependency.strict.letters.store={{kind=\"sqlite\", path={:?}}}", folder.path());
        tokio_test::block_on(async {
            let campanile = program(&[&store]).strict(true).start().await.unwrap();
            for _ in 0..2 {
                let refused = campanile.dependency("strict").build().await;
                let Err(StartError::Part(fault)) = refused else { panic!("{refused:?}") };
                assert_eq!(fault.part(), "the store of letters of dependency `strict`");
            }
            assert_eq!(campanile.faults(), []);
        });
    });
}

#[test]
fn a_strict_start_refuses_a_taken_port() {
    alone("start::a_strict_start_refuses_a_taken_port", || {
        let (_taken, listen) = taken();
        let refused = tokio_test::block_on(program(&[&listen]).strict(true).start());
        let Err(StartError::Part(fault)) = refused else { panic!("{refused:?}") };
        assert_eq!(fault.part(), "the port for metrics");
        assert!(Campanile::global().is_none(), "a start that failed is not global");
    });
}

#[tokio::test]
async fn settings_that_are_not_valid_always_fail_the_start() {
    let refused = program(&["health.error_share=7", "dependency.a.retry.max_attempts=0"]).start().await;
    let Err(error @ StartError::Config(_)) = refused else { panic!("{refused:?}") };
    let text = error.to_string();
    assert!(
        text.contains("health.error_share") && text.contains("dependency.a.retry.max_attempts"),
        "{text}"
    );
    let refused =
        Campanile::builder("shop").environment([]).config_file("/nowhere/campanile.toml").start().await;
    assert!(matches!(refused, Err(StartError::Config(_))), "{refused:?}");
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn without_a_runtime_metrics_are_served_and_the_rest_is_listed() {
    let [free] = ports::free();
    let listen = format!("metrics.listen={free}");
    let start = program(&[&listen, "endpoint.unchecked.address=\"tcp://127.0.0.1:1\""]).start();
    let std::task::Poll::Ready(started) = tokio_test::task::spawn(start).poll() else {
        panic!("a start waits for something");
    };
    let campanile = started.unwrap();
    let found = faults(&campanile);
    let parts: Vec<_> = found.iter().map(|fault| fault.part()).collect();
    assert_eq!(parts, ["what runs in the background", "the check of endpoint `unchecked`"], "{found:?}");
    assert!(found[0].reason().contains("SIGHUP"), "{}", found[0]);
    assert!(get(free, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(free, "/metrics").starts_with("HTTP/1.1 200"));
    campanile.server("without a runtime").build().unwrap();
}

#[tokio::test]
async fn the_second_program_of_a_process_has_parts_and_health_of_its_own() {
    let (first, second) = (started(&[]).await, started(&[]).await);
    assert!(second.faults().iter().any(|fault| fault.part() == "the global subscriber"));
    let of_first = first.dependency("of two programs").build().await.unwrap();
    let of_second = second.dependency("of two programs").build().await.unwrap();
    of_first.call(|| async { Ok::<_, String>(()) }).await.unwrap();
    assert_eq!((of_first.timing().snapshot().calls, of_second.timing().snapshot().calls), (1, 0));
    first.health().drain();
    assert!(!first.health().is_ready() && second.health().is_ready());
    let report = second.end().await.unwrap();
    assert!(report.is_complete() && report.step(ShutdownStep::Telemetry).is_some(), "{report:?}");
}
