//! Loops with drain.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use campanile::worker::TaskStatus;
use campanile::{Every, FailureKind, Worker};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{Pipeline, sleep, worker};

fn every(seconds: u64) -> Every {
    Every::seconds(seconds).jitter(0.0)
}

#[tokio::test(start_paused = true)]
async fn a_loop_runs_at_its_interval_and_survives_errors_and_panics() {
    let pipeline = Pipeline::new();
    let worker = worker();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let poll = worker.run_loop("poll", every(30), move || {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        assert_ne!(run, 3, "a panic before there is a future");
        async move {
            match run {
                0 => Err("no connection"),
                1 => panic!("on purpose"),
                _ => Ok(()),
            }
        }
    });
    let poll = poll.unwrap();
    sleep(30_000 * 4 + 1).await;
    assert_eq!(runs.load(Ordering::Relaxed), 5, "at 0, 30, 60, 90 and 120 s");
    let task = &worker.snapshot().tasks[0];
    assert_eq!((&*task.name, task.runs, task.failed), ("poll", 5, 3));
    assert_eq!((task.failed_by[&FailureKind::Error], task.failed_by[&FailureKind::Panic]), (1, 2));
    assert_eq!(
        pipeline.messages()[..2],
        ["task `poll` failed: no connection", "task `poll` failed: on purpose"]
    );
    let drained = poll.drain(Duration::from_secs(1)).await;
    assert!(drained.is_complete() && drained.ended == 1, "{drained:?}");
    sleep(300_000).await;
    assert_eq!(runs.load(Ordering::Relaxed), 5, "a drained loop takes no new work");
    assert!(worker.snapshot().loops.is_empty());
}

#[tokio::test(start_paused = true)]
async fn runs_never_overlap_and_a_late_run_moves_to_the_next_multiple() {
    let worker = worker();
    let starts = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = Arc::clone(&starts);
    let began = tokio::time::Instant::now();
    let poll = worker.run_loop("slow", every(10), move || {
        // The second of each start, as a bit.
        seen.fetch_or(1 << began.elapsed().as_secs(), Ordering::Relaxed);
        async {
            sleep(14_000).await;
            Ok::<_, String>(())
        }
    });
    sleep(45_000).await;
    assert_eq!(starts.load(Ordering::Relaxed), 1 | 1 << 20 | 1 << 40);
    assert_eq!(worker.snapshot().tasks[0].active, 1);
    drop(poll);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_run_if_it_is_set() {
    let worker = worker();
    let timed = every(60).timeout(Duration::from_secs(2));
    let hangs = || pending::<Result<(), String>>();
    let (timed, patient) =
        (worker.run_loop("timed", timed, hangs), worker.run_loop("patient", every(60), hangs));
    sleep(130_000).await;
    let tasks = worker.snapshot().tasks;
    assert_eq!((&*tasks[0].name, tasks[0].runs, tasks[0].active), ("patient", 0, 1), "no limit by default");
    assert_eq!(tasks[0].status, TaskStatus::Running);
    assert_eq!((tasks[1].runs, tasks[1].failed_by[&FailureKind::Timeout]), (3, 3));
    drop((timed, patient));
    sleep(1).await;
    assert_eq!(worker.snapshot().tasks[0].status, TaskStatus::Cancelled, "a drop ends the run");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_up_to_its_limit_and_reports_what_was_left() {
    let worker = worker();
    let lasts = |seconds: u64| {
        move || async move {
            sleep(seconds * 1_000).await;
            Ok::<_, String>(())
        }
    };
    let short = worker.run_loop("short", every(100), lasts(3)).unwrap();
    let long = worker.run_loop("long", every(100), lasts(50)).unwrap();
    let runs = worker.clone();
    let outside = tokio::spawn(async move { runs.run(7_u32, |_| pending::<Result<(), String>>()).await });
    sleep(1_000).await;
    let began = tokio::time::Instant::now();
    let drained = worker.drain(Duration::from_secs(10)).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!((drained.ended, drained.items), (1, 1));
    assert_eq!(drained.aborted.iter().map(|name| &**name).collect::<Vec<_>>(), ["long"]);
    assert!(!drained.is_complete() && short.is_finished() && long.is_finished());
    let tasks = worker.snapshot().tasks;
    assert_eq!((tasks[0].status, tasks[1].status), (TaskStatus::Cancelled, TaskStatus::Ok));
    outside.abort();
    let _ = outside.await;
    // Nothing runs any more: the drain ends at once.
    let began = tokio::time::Instant::now();
    assert!(worker.drain(Duration::from_secs(10)).await.is_complete());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_items_outside_of_loops() {
    let worker = worker();
    let runs = worker.clone();
    let item = tokio::spawn(async move {
        let work = |_| async {
            sleep(3_000).await;
            Ok::<_, String>(())
        };
        runs.run(7_u32, work).await
    });
    sleep(1).await;
    assert!(worker.drain(Duration::from_secs(10)).await.is_complete());
    assert_eq!(worker.snapshot().items.ok, 1);
    item.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_stream_is_run() {
    let worker = worker();
    let (sender, receiver) = mpsc::channel::<u32>(16);
    let rows = worker.run_stream("rows", ReceiverStream::new(receiver), |row| async move {
        match row {
            1 => Err("no price"),
            2 => panic!("on purpose"),
            _ => Ok(()),
        }
    });
    let rows = rows.unwrap();
    for row in 0..5 {
        sender.send(row).await.unwrap();
    }
    sleep(10).await;
    let snapshot = worker.snapshot();
    let items = &snapshot.items;
    assert_eq!((items.ingested, items.ok, items.failed, items.parked), (5, 3, 2, 2));
    assert_eq!((&*snapshot.loops[0].name, snapshot.loops[0].running), ("rows", false));
    assert!(!rows.is_finished());
    drop(sender);
    sleep(10).await;
    assert!(rows.is_finished(), "the stream has ended");
    assert!(worker.snapshot().loops.is_empty(), "it is shown no more, although its handle lives");
    assert!(rows.drain(Duration::ZERO).await.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_loses_the_item_in_flight_and_a_drained_one_does_not() {
    for drains in [false, true] {
        let worker = worker();
        let rows = worker.run_stream("rows", tokio_stream::iter(0..100_u32), |_| async {
            sleep(1_000).await;
            Ok::<_, String>(())
        });
        let rows = rows.unwrap();
        sleep(2_500).await;
        if drains {
            assert!(rows.drain(Duration::from_secs(5)).await.is_complete());
        } else {
            drop(rows);
            sleep(1).await;
        }
        let items = worker.snapshot().items;
        let expected = if drains { (3, 3, 0, 0) } else { (3, 2, 1, 0) };
        assert_eq!((items.ingested, items.ok, items.cancelled, items.active), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_ends_its_loop_and_is_logged() {
    let pipeline = Pipeline::new();
    let worker = worker();
    struct Broken;
    impl tokio_stream::Stream for Broken {
        type Item = u32;
        fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
            panic!("on purpose")
        }
    }
    let rows = worker.run_stream("rows", Broken, |_| async { Ok::<_, String>(()) }).unwrap();
    sleep(1).await;
    assert!(rows.is_finished());
    assert_eq!(pipeline.messages(), ["the stream of loop `rows` failed: on purpose"]);
}

#[test]
fn a_loop_needs_a_runtime_and_valid_settings() {
    let worker = Worker::builder("import").build().unwrap();
    let start =
        |every| worker.run_loop("poll", every, || async { Ok::<_, String>(()) }).unwrap_err().to_string();
    assert_eq!(
        start(Every::seconds(1)),
        "setting `loop` of worker `import` cannot be poll: there is no Tokio runtime; start the loop within one"
    );
    assert_eq!(
        start(Every::seconds(0)),
        "setting `every.interval` of loop `poll` cannot be 0ns; allowed: more than zero"
    );
}
