//! Checks on threads: checks that block, and checks that are added, run and stopped concurrently.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::health::{CheckOutcome, Every, Health};

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn p51_a_check_that_blocks_its_thread_times_out_and_stops_no_other() {
    let health = Health::standalone();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let blocking = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // An overlapping run would wait for the lock.
        let released = wait.lock().unwrap().recv();
        async move { released.map_err(|error| error.to_string()) }
    };
    let every = Every::seconds(3_600).jitter(0.0).timeout(Duration::from_millis(50));
    let blocked = health.check("p51-blocking", every, blocking).unwrap();
    let (ran, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let every = Every::interval(Duration::from_millis(5)).jitter(0.0);
    let others: Vec<_> = (0..4)
        .map(|number| {
            let ran = ran.clone();
            let other = move || std::future::ready(ran.send(number).map_err(|error| error.to_string()));
            health.check(format!("p51-beside-{number}"), every, other).unwrap()
        })
        .collect();
    // On a busy machine a run may time out before it starts.
    while runs.load(Ordering::SeqCst) == 0 {
        let report = blocked.run().await;
        assert_eq!(report.outcome, CheckOutcome::TimedOut);
        assert_eq!(report.message.as_deref(), Some("no answer within 50ms"));
    }
    while seen.try_recv().is_ok() {}
    let mut left = [10_u32; 4];
    while left.iter().any(|left| *left > 0) {
        let number: usize = seen.recv().await.unwrap();
        left[number] = left[number].saturating_sub(1);
    }
    let mut report = blocked.run().await;
    if report.message.as_deref() == Some("no answer within 50ms") {
        // That was the blocking run: the other checks were faster than its timeout.
        report = blocked.run().await;
    }
    let message = report.message.as_deref().unwrap_or_default();
    assert!(message.ends_with("still blocks its thread"), "{message}");
    assert!(report.failures_in_a_row >= 2);
    assert_eq!(runs.load(Ordering::SeqCst), 1, "it overlaps itself");
    (0..1_000).for_each(|_| release.send(()).unwrap());
    while blocked.run().await.outcome != CheckOutcome::Pass {}
    assert!(runs.load(Ordering::SeqCst) >= 2);
    assert!(others.iter().all(|other| other.report().outcome == CheckOutcome::Pass));
}

#[test]
fn p51_a_check_that_blocks_the_only_thread_of_its_runtime_times_out() {
    let health = Health::standalone();
    let (release, wait) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let blocking = move || {
        begins.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        std::future::ready(())
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let of_thread = health.clone();
    let (hand_over, handle) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let every = Every::seconds(30).jitter(0.0).timeout(Duration::from_secs(2));
            let check = of_thread.check("p51-alone", every, blocking).unwrap();
            hand_over.send(check.clone()).unwrap();
            check.run().await
        })
    });
    let check = handle.recv().unwrap();
    begun.recv().unwrap();
    assert_eq!(check.report().outcome, CheckOutcome::Pending);
    let later =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    later.block_on(async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let report = check.report();
        assert_eq!((report.outcome, report.failures_in_a_row, report.runs), (CheckOutcome::TimedOut, 2, 0));
        assert!(report.message.as_deref().unwrap().starts_with("no result 3"), "{report:?}");
        assert_eq!(health.snapshot().component("p51-alone").unwrap().reasons.len(), 1);
    });
    release.send(()).unwrap();
    assert_eq!(thread.join().unwrap().runs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checks_that_are_added_run_and_stopped_concurrently_leave_no_caller_waiting() {
    let health = Health::standalone();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let health = health.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for round in 0..200 {
                    let every = Every::interval(Duration::from_millis(1));
                    match health.check("from-many-tasks", every, never_twice_at_a_time()) {
                        Ok(handle) => {
                            let (a, all, b) = tokio::join!(handle.run(), health.run_checks(), handle.run());
                            handle.stop();
                            seen.extend([a, b].into_iter().chain(all));
                        }
                        Err(_) if (task + round) % 2 == 0 => {
                            seen.extend(health.run_check("from-many-tasks").await);
                        }
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap());
    }
    let passed = seen.iter().filter(|report| report.outcome == CheckOutcome::Pass).count();
    assert!(passed > 0 && seen.iter().all(|report| report.outcome != CheckOutcome::Panicked));
    assert!(health.check_reports().is_empty());
}

/// A check that panics when its runs overlap.
fn never_twice_at_a_time() -> impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync {
    let running = Arc::new(AtomicUsize::new(0));
    move || {
        let running = Arc::clone(&running);
        Box::pin(async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "it overlaps itself");
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
        })
    }
}
