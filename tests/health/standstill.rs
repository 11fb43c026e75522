//! Time in which this process did not run, stopped or starved of its runtime, counts against no component.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::Health;
use campanile::health::{Action, CheckOutcome, Component, Every, Healing, HealthSettings, Status, When};
use tokio::time::{Instant, advance, sleep, timeout};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Health with a critical component called `name`.
fn critical(name: &str) -> Health {
    let health = Health::standalone();
    health.register(Component::new(name).critical(true)).unwrap();
    health
}

/// Adds a healing that acts at the first failing snapshot. Returns how often it acted.
fn heal_at_once(health: &Health, name: &'static str) -> Arc<AtomicU32> {
    let acted = Arc::new(AtomicU32::new(0));
    let acts = Arc::clone(&acted);
    let action = Action::new(move || {
        acts.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    let when = When::status_at_least(Status::Unhealthy);
    drop(health.heal(Healing::new("act", name).when(when).action(action).verify(false)).unwrap());
    acted
}

#[tokio::test(start_paused = true)]
async fn a_run_during_a_standstill_exceeds_no_time_limit() {
    let health = critical("stood-still");
    let acted = heal_at_once(&health, "stood-still");
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    // The check takes a second. It has its own time limit, and `fail_after` another one.
    let check = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            timeout(seconds(4), async {
                for _ in 0..10 {
                    sleep(millis(100)).await
                }
            })
            .await
        }
    };
    let every = Every::seconds(30).jitter(0.0).timeout(seconds(5)).fail_after(seconds(2));
    let check = health.check("stood-still", every, check).unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
    for standstill in [3, 12, 4_000] {
        let before = runs.load(Ordering::Relaxed);
        let run = tokio::spawn({
            let check = check.clone();
            async move { check.run().await }
        });
        while runs.load(Ordering::Relaxed) == before {
            sleep(millis(10)).await;
        }
        sleep(millis(250)).await;
        advance(seconds(standstill)).await;
        for _ in 0..300 {
            assert!(health.is_ready() && health.readiness().ready);
            assert_eq!(health.snapshot().component("stood-still").unwrap().status, Status::Healthy);
            sleep(millis(10)).await;
        }
        let report = run.await.unwrap();
        assert_eq!((report.outcome, report.failures), (CheckOutcome::Pass, 0), "{report:?}");
        assert!(report.took <= seconds(2) && runs.load(Ordering::Relaxed) >= before + 2);
    }
    // Between two runs.
    advance(seconds(3_000)).await;
    assert!(health.is_ready() && check.report().outcome == CheckOutcome::Pass);
    sleep(seconds(30)).await;
    assert_eq!((acted.load(Ordering::Relaxed), check.report().failures), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn checks_that_hang_are_found_also_after_a_standstill() {
    let health = critical("hangs");
    let acted = heal_at_once(&health, "hangs");
    let hangs = Arc::new(AtomicBool::new(false));
    let current = Arc::clone(&hangs);
    let check = move || {
        let hangs = current.load(Ordering::Relaxed);
        async move {
            if hangs {
                std::future::pending().await
            }
        }
    };
    let every = Every::seconds(30).jitter(0.0).timeout(seconds(5));
    let check = health.check("hangs", every, check).unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
    hangs.store(true, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(check.run().await.outcome, CheckOutcome::TimedOut);
    assert!((seconds(5)..millis(5_100)).contains(&began.elapsed()) && !health.is_ready());
    hangs.store(false, Ordering::Relaxed);
    sleep(seconds(60)).await;
    assert!(health.is_ready());

    // The check hangs during a standstill: the next run finds it.
    let before = acted.load(Ordering::Relaxed);
    hangs.store(true, Ordering::Relaxed);
    let run = tokio::spawn({
        let check = check.clone();
        async move { check.run().await }
    });
    sleep(seconds(1)).await;
    advance(seconds(100)).await;
    sleep(seconds(3)).await;
    assert!(health.is_ready(), "a run during a standstill proves nothing");
    sleep(seconds(7)).await;
    let report = run.await.unwrap();
    assert_eq!((report.outcome, report.failures_in_a_row), (CheckOutcome::TimedOut, 1));
    assert!(!health.is_ready());
    sleep(seconds(20)).await;
    assert!(acted.load(Ordering::Relaxed) > before);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_always_starved_finds_failures() {
    let health = critical("always-starved");
    let every = Every::seconds(30).jitter(0.0).timeout(seconds(5));
    let fails = || async {
        sleep(millis(500)).await;
        Err::<(), _>("gone")
    };
    let check = health.check("always-starved", every, fails).unwrap();
    let starved = tokio::spawn(async {
        loop {
            sleep(millis(100)).await;
            advance(seconds(2)).await;
        }
    });
    let report = check.run().await;
    assert_eq!((report.outcome, report.runs), (CheckOutcome::Fail, 1));
    starved.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_during_a_standstill_count_in_the_totals_only() {
    let health = critical("called");
    let calls = health.recorder("called");
    let acted = heal_at_once(&health, "called");
    let status = || health.snapshot().component("called").unwrap().status;
    for _ in 0..20 {
        calls.record(millis(5), false);
        sleep(millis(100)).await;
    }
    let began = Instant::now();
    advance(seconds(40)).await;
    // Calls during the standstill time out at once, before any task of health has run.
    (0..20).for_each(|_| calls.record_since(began, true));
    assert!(health.is_ready());
    sleep(seconds(1)).await;
    (0..20).for_each(|_| calls.record_since(began, true));
    assert!(status() <= Status::Healthy && health.is_ready());
    let counts = health.snapshot().component("called").unwrap().calls.clone().unwrap();
    assert_eq!((counts.total, counts.failed, counts.consecutive_failures), (60, 40, 0));
    sleep(seconds(30)).await;
    assert_eq!(acted.load(Ordering::Relaxed), 0);
    // Later calls count.
    (0..20).for_each(|_| calls.record(millis(5), true));
    assert_eq!(status(), Status::Critical);
    sleep(seconds(12)).await;
    assert_eq!(acted.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_healing_does_not_count_a_standstill_and_checks_again_before_it_acts() {
    let health = critical("healed-late");
    let fails = Arc::new(AtomicBool::new(true));
    let (current, runs) = (Arc::clone(&fails), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&runs);
    let check = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let fails = current.load(Ordering::Relaxed);
        async move {
            sleep(seconds(1)).await;
            if fails { Err("gone") } else { Ok(()) }
        }
    };
    health.check("healed-late", Every::seconds(36_000).jitter(0.0), check).unwrap();
    let began: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (begins, start) = (Arc::clone(&began), Instant::now());
    let action = Action::new(move || {
        begins.lock().unwrap().push(start.elapsed().as_secs());
        async {}
    });
    let when = When::status_at_least(Status::Unhealthy).for_at_least(seconds(30));
    let healing = Healing::new("act", "healed-late").when(when).action(action).verify(false);
    let handle = health.heal(healing).unwrap();
    sleep(seconds(15)).await;
    assert!(handle.status().called_for);
    // A standstill of an hour.
    advance(seconds(3_600)).await;
    sleep(seconds(12)).await;
    assert!(began.lock().unwrap().is_empty() && handle.status().called_for);
    assert_eq!(runs.load(Ordering::Relaxed), 2, "the check ran again");
    sleep(seconds(25)).await;
    assert_eq!(began.lock().unwrap().len(), 1);

    // A component that recovers during a standstill is not healed.
    sleep(seconds(3_600)).await;
    let before = began.lock().unwrap().len();
    fails.store(false, Ordering::Relaxed);
    advance(seconds(7_200)).await;
    sleep(seconds(60)).await;
    assert!(health.is_ready() && !handle.status().called_for);
    assert_eq!(began.lock().unwrap().len(), before);
}

/// Runs `work` on a runtime on its own thread.
fn on_a_thread<F: Future<Output = ()> + Send + 'static>(work: F) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work);
    })
}

#[test]
fn code_that_blocks_the_runtime_for_a_while_fails_no_check_on_other_threads() {
    let health = critical("starved");
    let settings = HealthSettings { cached_for: Duration::ZERO, ..HealthSettings::default() };
    health.configure(settings).unwrap();
    let of_thread = health.clone();
    let (done, is_done) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let thread = on_a_thread(async move {
        let health = of_thread;
        let every = Every::interval(millis(50)).jitter(0.0).timeout(millis(100));
        let check = health.check("starved", every, || sleep(millis(5))).unwrap();
        assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
        begin.send(()).unwrap();
        // Longer than the time limit, the interval and a second.
        std::thread::sleep(millis(1_600));
        let report = check.run().await;
        sleep(millis(100)).await;
        assert_eq!((report.failures, check.report().failures), (0, 0));
        done.send(()).unwrap();
    });
    let mut probes = 0;
    begun.recv().unwrap();
    while is_done.try_recv().is_err() {
        assert!(!thread.is_finished(), "the thread panicked");
        assert!(health.is_ready() && health.readiness().missing.is_empty());
        probes += 1;
        std::thread::sleep(millis(1));
    }
    thread.join().unwrap();
    assert!(probes > 100);
}

#[test]
fn a_runtime_that_is_blocked_for_a_minute_fails_its_checks_on_other_threads_until_the_next_result() {
    let health = critical("forsaken");
    let of_thread = health.clone();
    let (release, released) = mpsc::channel::<()>();
    let (ran, has_run) = mpsc::channel();
    let thread = on_a_thread(async move {
        let every = Every::seconds(5).jitter(0.0).timeout(seconds(1));
        let check = of_thread.check("forsaken", every, || async {}).unwrap();
        ran.send(check.run().await.outcome).unwrap();
        released.recv().unwrap();
        ran.send(check.run().await.outcome).unwrap();
        // Keeps the runtime until the other thread is done.
        released.recv().unwrap();
    });
    assert_eq!(has_run.recv(), Ok(CheckOutcome::Pass));
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        let mut ready = 0;
        while health.readiness().ready {
            sleep(seconds(1)).await;
            ready += 1;
        }
        assert!((60..75).contains(&ready), "{ready} s");
        let missing = health.readiness().missing;
        assert!(missing[0].reasons[0].text.contains("its Tokio runtime has ended or is busy"), "{missing:?}");
        // A result counts at once, even if the cached snapshot is still valid.
        let settings = HealthSettings { cached_for: seconds(60), ..HealthSettings::default() };
        health.configure(settings).unwrap();
        assert!(!health.is_ready());
        release.send(()).unwrap();
        assert_eq!(has_run.recv(), Ok(CheckOutcome::Pass));
        assert!(health.is_ready());
        release.send(()).unwrap();
    });
    thread.join().unwrap();
}

// ===== a real process that is stopped =====

/// The variable that makes this test binary the process that is stopped.
const STOPPED: &str = "CAMPANILE_TEST_STANDSTILL";

#[test]
#[cfg(unix)]
fn the_time_in_which_a_process_was_stopped_counts_against_no_component() {
    let start = |flavor: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "standstill::stopped_and_continued", "--nocapture", "--test-threads=1"])
            .env(STOPPED, flavor)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = ["one-thread", "two-threads"].map(start);
    for (pause, sent) in [(1_500, "-STOP"), (3_500, "-CONT")] {
        std::thread::sleep(millis(pause));
        children.iter().for_each(|child| signal(child, sent));
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        let output_text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && output_text.contains("stood for 3"), "{output_text}");
    }
}

#[cfg(unix)]
fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Runs in its own process, which is stopped and continued.
#[test]
fn stopped_and_continued() {
    let Ok(flavor) = std::env::var(STOPPED) else { return };
    let mut runtime = match &*flavor {
        "one-thread" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(async {
        let health = critical("stopped");
        let settings = HealthSettings { cached_for: Duration::ZERO, ..HealthSettings::default() };
        health.configure(settings).unwrap();
        let acted = heal_at_once(&health, "stopped");
        // A slow server, and a client with a time limit that it never exceeds.
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = server.accept().await.unwrap();
                tokio::spawn(async move {
                    use tokio::io::AsyncWriteExt;
                    for _ in 0..4 {
                        sleep(millis(20)).await;
                        let _ = stream.write_all(b"x").await;
                    }
                });
            }
        });
        let request = async move || {
            use tokio::io::AsyncReadExt;
            let mut read = Vec::new();
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.read_to_end(&mut read).await.map(|_| ())
        };
        let every = Every::interval(millis(100)).jitter(0.0).timeout(millis(900));
        let check = health
            .check("stopped", every, move || async move {
                timeout(millis(700), request()).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
            })
            .unwrap();
        check.run().await;
        // Calls with a time limit, some of them always in flight.
        let calls = health.recorder("stopped");
        for _ in 0..10 {
            let calls = calls.clone();
            tokio::spawn(async move {
                loop {
                    let began = Instant::now();
                    let answer = timeout(millis(700), request()).await;
                    calls.record_since(began, !matches!(answer, Ok(Ok(()))));
                }
            });
        }
        let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        let snapshots = AtomicU64::new(0);
        while began.elapsed() < millis(7_000) {
            sleep(millis(2)).await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            snapshots.fetch_add(1, Ordering::Relaxed);
            let snapshot = health.snapshot();
            assert!(health.is_ready(), "{:?}", snapshot.component("stopped"));
        }
        let report = check.report();
        assert_eq!((report.failures, acted.load(Ordering::Relaxed)), (0, 0), "{report:?}");
        assert!(report.runs > 10 && snapshots.load(Ordering::Relaxed) > 100);
        println!("stood for {longest:.1?}");
    });
}
