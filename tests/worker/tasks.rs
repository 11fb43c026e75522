//! Tasks.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::worker::TaskStatus;

use crate::{sleep, worker};

#[tokio::test(start_paused = true)]
async fn a_task_has_runs_a_status_and_its_last_run() {
    let worker = worker();
    let sync = worker.task("sync");
    let of = || worker.snapshot().tasks[0].clone();
    assert_eq!((of().status, of().runs, of().last_started), (TaskStatus::Pending, 0, None));
    let run = |millis: u64, fine: bool| {
        let sync = sync.clone();
        async move {
            sync.run(async {
                sleep(millis).await;
                if fine { Ok(millis) } else { Err("no connection") }
            })
            .await
        }
    };
    assert_eq!(run(20, true).await, Ok(20));
    assert_eq!((of().status, of().runs, of().failed), (TaskStatus::Ok, 1, 0));
    assert_eq!(of().last_took, Duration::from_millis(20));
    let took = |task: campanile::worker::TaskSnapshot| {
        let since =
            |moment: Option<SystemTime>| moment.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        since(task.last_ended) - since(task.last_started)
    };
    assert_eq!(took(of()), Duration::from_millis(20));
    assert_eq!(run(40, false).await, Err("no connection"));
    assert_eq!((of().status, of().runs, of().failed), (TaskStatus::Failed, 2, 1));
    assert_eq!(
        (of().durations.min, of().durations.max),
        (Duration::from_millis(20), Duration::from_millis(40))
    );
    let errors = worker.snapshot().errors;
    assert_eq!((errors.total, &*errors.recent[0].of), (1, "sync"));
    let running = tokio::spawn(run(1_000, true));
    sleep(10).await;
    assert_eq!((of().status, of().active), (TaskStatus::Running, 1));
    running.abort();
    assert!(running.await.is_err());
    assert_eq!((of().status, of().failed_by[&FailureKind::Cancelled]), (TaskStatus::Cancelled, 1));
    let panics = sync.clone();
    let panics = tokio::spawn(async move { panics.run(pending_or_panic(true)).await });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!((of().status, of().failed_by[&FailureKind::Panic], of().runs), (TaskStatus::Panicked, 1, 4));
}

async fn pending_or_panic(panics: bool) -> Result<(), String> {
    assert!(!panics, "on purpose");
    pending().await
}

#[test]
fn a_guard_ends_a_run() {
    let worker = worker();
    let sync = worker.task("sync");
    let of = || worker.snapshot().tasks[0].clone();
    sync.start().succeed();
    assert_eq!((of().status, of().runs, of().failed), (TaskStatus::Ok, 1, 0));
    sync.start().fail(&std::io::Error::from(std::io::ErrorKind::TimedOut));
    assert_eq!((of().status, of().failed_by[&FailureKind::Timeout]), (TaskStatus::Failed, 1));
    drop(sync.start());
    assert_eq!(of().status, TaskStatus::Cancelled);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _run = sync.start();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!((of().status, of().runs, of().active), (TaskStatus::Panicked, 4, 0));
}
