//! What reaches health, and metrics of the program's own.

use std::sync::mpsc;
use std::time::Duration;

use campanile::Campanile;
use campanile::health::{CheckOutcome, ComponentHealth, Every, HealingOutcome, Status};
use campanile::sampler::Measurement;

use crate::program::{faults, started};

fn component(campanile: &Campanile, name: &str) -> ComponentHealth {
    let found =
        campanile.health().snapshot().components.into_iter().find(|component| &*component.name == name);
    found.unwrap_or_else(|| panic!("no component {name}: {:?}", campanile.health().snapshot()))
}

fn names(component: &ComponentHealth) -> Vec<&str> {
    component.depends_on.iter().map(|name| &**name).collect()
}

#[tokio::test]
async fn a_dependency_reaches_health_with_all_that_its_section_says() {
    let campanile = started(&[
        "dependency.watched.component=\"purse\"",
        "dependency.watched.critical=true",
        "dependency.watched.depends_on=[\"bank\"]",
        "dependency.watched.letters=true",
    ])
    .await;
    let fails = || async { Err::<(), _>("down") };
    let watched = campanile.dependency("watched").check(Every::seconds(3_600), fails).build().await.unwrap();
    campanile.health().run_checks().await;
    let purse = component(&campanile, "purse");
    assert!(purse.critical);
    assert_eq!(names(&purse), ["bank", "watched"], "the circuit is called as the dependency");
    assert_eq!((&*purse.checks[0].check, purse.checks[0].outcome), ("watched", CheckOutcome::Fail));
    assert_eq!(watched.letters().unwrap().component(), "purse");
    assert!(!campanile.health().is_ready());
    assert_eq!(faults(&campanile), []);
}

#[tokio::test]
async fn parts_that_share_a_component_add_to_it() {
    let campanile = started(&[
        "dependency.first.component=\"shared\"",
        "dependency.first.critical=true",
        "dependency.second.component=\"shared\"",
        "dependency.second.depends_on=[\"disk\"]",
    ])
    .await;
    campanile.dependency("first").build().await.unwrap();
    campanile.dependency("second").build().await.unwrap();
    campanile.server("shared").build().unwrap();
    campanile.worker("shared").build().await.unwrap();
    let shared = component(&campanile, "shared");
    assert!(shared.critical);
    assert_eq!(names(&shared), ["disk", "first", "second"]);
}

#[tokio::test]
async fn a_circle_of_dependencies_is_a_fault_that_names_it() {
    let campanile =
        started(&["dependency.egg.depends_on=[\"hen\"]", "dependency.hen.depends_on=[\"egg\"]"]).await;
    campanile.dependency("egg").build().await.unwrap();
    campanile.dependency("hen").build().await.unwrap();
    let [fault] = &faults(&campanile)[..] else { panic!("{:?}", campanile.faults()) };
    assert_eq!(fault.part(), "the health of dependency `hen`");
    assert!(fault.reason().contains("hen -> egg -> hen"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn the_section_of_a_check_sets_the_interval_of_one_that_is_given_in_code() {
    let campanile = started(&["dependency.slow-check.check={timeout=\"2s\", error_above=\"1s\"}"]).await;
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok::<_, String>(())
    };
    let fast = Every::seconds(3_600).timeout(Duration::from_secs(60));
    campanile.dependency("slow-check").check(fast, slow).build().await.unwrap();
    campanile.health().run_checks().await;
    let report = component(&campanile, "slow-check").checks[0].clone();
    assert_eq!((report.outcome, report.timeout), (CheckOutcome::Fail, Duration::from_secs(2)));
}

#[tokio::test]
async fn an_address_in_the_section_wins_over_the_check_in_code() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let check = format!("dependency.addressed.check.address=\"tcp://{address}\"");
    let campanile = started(&[&check]).await;
    let fails = || async { Err::<(), _>("not asked") };
    campanile.dependency("addressed").check(Every::seconds(3_600), fails).build().await.unwrap();
    campanile.health().run_checks().await;
    let checks = component(&campanile, "addressed").checks;
    assert_eq!((checks.len(), checks[0].outcome), (1, CheckOutcome::Pass), "{checks:?}");
}

#[tokio::test]
async fn a_check_without_an_address_is_a_fault_that_says_so() {
    let campanile = started(&["dependency.unaddressed.check=true"]).await;
    campanile.dependency("unaddressed").build().await.unwrap();
    let [fault] = &faults(&campanile)[..] else { panic!("{:?}", campanile.faults()) };
    assert_eq!(fault.part(), "the health of dependency `unaddressed`");
    assert!(fault.reason().contains("check.address"), "{fault}");
}

#[tokio::test]
async fn endpoints_of_the_file_are_checked_from_the_start() {
    let app =
        axum::Router::new().route("/up", axum::routing::get(|| async { http::StatusCode::IM_A_TEAPOT }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let up = format!("http://{}/up", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let campanile = started(&[
        &format!("endpoint.teapot={{address=\"{up}\", statuses=[418], critical=true}}"),
        &format!("endpoint.wrong={{address=\"{up}\"}}"),
    ])
    .await;
    campanile.health().run_checks().await;
    let (teapot, wrong) = (component(&campanile, "teapot"), component(&campanile, "wrong"));
    assert!(teapot.critical && !wrong.critical);
    assert_eq!(teapot.checks[0].outcome, CheckOutcome::Pass, "{teapot:?}");
    assert_eq!(wrong.checks[0].outcome, CheckOutcome::Fail, "{wrong:?}");
}

#[tokio::test(start_paused = true)]
async fn a_database_has_the_limits_of_its_section() {
    let campanile =
        started(&["database.ledger={warn_above=\"1s\", error_above=\"2s\", timeout=\"4s\", critical=true}"])
            .await;
    let took = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let of_check = std::sync::Arc::clone(&took);
    let check = move || {
        let took = Duration::from_millis(of_check.load(std::sync::atomic::Ordering::SeqCst));
        async move {
            tokio::time::sleep(took).await;
            Ok::<_, String>(())
        }
    };
    let ledger = campanile.database("ledger", check).unwrap();
    for (millis, outcome) in [
        (500, CheckOutcome::Pass),
        (1_500, CheckOutcome::Warn),
        (2_500, CheckOutcome::Fail),
        (5_000, CheckOutcome::TimedOut),
    ] {
        took.store(millis, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(ledger.run().await.last, outcome, "after {millis} ms");
    }
    assert!(component(&campanile, "ledger").critical);
    let again = campanile.database("ledger", || async { Ok::<_, String>(()) });
    assert!(again.unwrap_err().to_string().contains("ledger"));
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_unwell_is_restarted_as_its_section_says() {
    let campanile = started(&["dependency.restartable.healing.dry_run=true"]).await;
    let fails = || async { Err::<(), _>("down") };
    let builder = campanile.dependency("restartable").check(Every::seconds(3_600), fails);
    builder.restart_command(["systemctl", "restart", "restartable"]).build().await.unwrap();
    assert_eq!(faults(&campanile), []);
    campanile.health().run_checks().await;
    assert_ne!(component(&campanile, "restartable").status, Status::Healthy);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let records = campanile.health().healings();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&*record.healing, &*record.component), ("restart-restartable", "restartable"));
    assert_eq!(record.outcome, HealingOutcome::DryRun);
}

#[tokio::test]
async fn a_collector_reads_metrics_of_the_program_until_it_is_dropped() {
    let campanile = started(&[]).await;
    let (sender, read) = mpsc::channel();
    let collect = move || {
        let _ = sender.send(());
        [Measurement::gauge("shop.cache.entries", 7.0)]
    };
    let collector = campanile.collector("cache", Duration::from_millis(100), collect).unwrap();
    read.recv_timeout(Duration::from_secs(60)).expect("it is read");
    drop(collector);
    while read.recv_timeout(Duration::from_secs(60)).is_ok() {}
    let refused = campanile.collector("cache", Duration::ZERO, || [Measurement::gauge("a", 1.0)]);
    assert!(refused.is_err());
}
