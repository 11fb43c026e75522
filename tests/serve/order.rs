//! The order and the limits of a shutdown, with a paused clock where no thread takes part.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use campanile::dead_letter::Redrive;
use campanile::serve::{Shutdown, ShutdownSettings, ShutdownStep, StepResult};
use campanile::{DeadLetterQueue, Health, Telemetry};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, ServiceExt, service_fn};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs `test` on a paused clock. Code that waits without sleeping stops such a clock: then this fails after a minute,
/// instead of never.
fn paused(test: impl Future<Output = ()> + Send + 'static) {
    let (ended, wait) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ended = ended;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(test);
    });
    let waited = wait.recv_timeout(seconds(60));
    assert_eq!(
        waited,
        Err(RecvTimeoutError::Disconnected),
        "the clock stands still: something waits without sleeping"
    );
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn the_grace_period_begins_with_the_signal_and_the_drain_follows() {
    paused(async {
        let health = Health::standalone();
        let (signal, received) = oneshot::channel::<()>();
        let shutdown = Shutdown::builder()
            .health(&health)
            .grace(seconds(20))
            .drain(seconds(5))
            .total(seconds(40))
            .signal(async { received.await.unwrap() })
            .build()
            .unwrap();
        let running = tokio::spawn(shutdown.run(|stop| async {
            stop.clone().await;
            stop.await; // Each clone ends.
            sleep(seconds(3)).await;
            Ok::<_, Infallible>(())
        }));
        sleep(seconds(3_600)).await;
        assert!(!running.is_finished() && health.is_ready());
        let signalled = Instant::now();
        signal.send(()).unwrap();
        sleep(seconds(1)).await;
        assert!(health.readiness().draining && !running.is_finished());
        let report = running.await.unwrap().unwrap();
        assert_eq!(signalled.elapsed(), seconds(23));
        let steps: Vec<_> = report.steps.iter().map(|step| (step.step, step.result, step.took)).collect();
        assert_eq!(
            steps,
            [
                (ShutdownStep::Grace, StepResult::Completed, seconds(20)),
                (ShutdownStep::Drain, StepResult::Completed, seconds(3)),
            ]
        );
        assert!(report.is_complete() && report.took == seconds(23));
    });
}

#[test]
fn a_server_that_does_not_end_is_cut_off_at_the_limit() {
    paused(async {
        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = Dropped(Arc::clone(&dropped));
        let shutdown =
            Shutdown::builder().signal(ready(())).grace(seconds(1)).drain(seconds(2)).build().unwrap();
        let began = Instant::now();
        let report = shutdown
            .run(|_| async move {
                let _guard = guard;
                pending::<Result<(), Infallible>>().await
            })
            .await
            .unwrap();
        let drain = report.step(ShutdownStep::Drain).unwrap();
        assert_eq!(
            (drain.result, drain.took, began.elapsed()),
            (StepResult::TimedOut, seconds(2), seconds(3))
        );
        assert_eq!(drain.left.as_deref(), Some("the server had not ended"));
        assert!(!report.is_complete() && dropped.load(Ordering::Acquire));
        assert_eq!(
            report.to_string(),
            "grace completed after 1.000 s\ndrain timed_out after 2.000 s; left: the server had not ended\n\
         shutdown ended after 3.000 s"
        );
    });
}

#[test]
fn a_server_that_ends_by_itself_is_shut_down_in_order_and_its_error_is_returned() {
    paused(async {
        let (health, queue) = (Health::standalone(), DeadLetterQueue::in_memory(10));
        let shutdown =
            || Shutdown::builder().health(&health).queue(&queue).signal(pending()).build().unwrap();
        let error = shutdown().run(|_| async { Err("no port") }).await.unwrap_err();
        assert_eq!((error, health.is_ready()), ("no port", false));
        // A job that is done.
        let report = shutdown().run(|_| async { Ok::<_, Infallible>(()) }).await.unwrap();
        let steps: Vec<_> = report.steps.iter().map(|step| step.step).collect();
        assert_eq!(steps, [ShutdownStep::Letters], "there is nothing to drain");
        // One that ends in the grace period.
        let during = Shutdown::builder().signal(ready(())).grace(seconds(8)).build().unwrap();
        let server = |_| async {
            sleep(seconds(2)).await;
            Err::<(), _>("no port")
        };
        let began = Instant::now();
        assert_eq!((during.run(server).await.unwrap_err(), began.elapsed()), ("no port", seconds(2)));
    });
}

fn stop_on_purpose() {
    panic!("on purpose");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_server_skips_no_step() {
    for at_once in [true, false] {
        let health = Health::standalone();
        let shutdown = Shutdown::builder().health(&health).signal(pending()).build().unwrap();
        let running = tokio::spawn(shutdown.run(move |_| {
            assert!(!at_once, "on purpose");
            async {
                stop_on_purpose();
                Ok::<_, Infallible>(())
            }
        }));
        assert!(running.await.unwrap_err().is_panic());
        assert!(health.readiness().draining);
    }
}

#[tokio::test]
async fn telemetry_ends_after_the_server_and_the_queues() {
    let telemetry = Telemetry::builder("shop").prometheus().build().unwrap();
    let health = telemetry.health();
    let shutdown = Shutdown::builder().telemetry(&telemetry).signal(ready(())).grace(Duration::ZERO);
    let shutdown = shutdown.queue(&DeadLetterQueue::in_memory(1)).build().unwrap();
    let before = telemetry.clone();
    let report = shutdown
        .run(|stop| async move {
            stop.await;
            assert!(before.prometheus_text().contains("target_info"), "the pipeline runs during the drain");
            Ok::<_, Infallible>(())
        })
        .await
        .unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| step.step).collect();
    assert_eq!(
        steps,
        [ShutdownStep::Grace, ShutdownStep::Drain, ShutdownStep::Letters, ShutdownStep::Telemetry]
    );
    assert!(report.is_complete(), "{report}");
    assert!(!health.is_ready());
    assert_eq!(telemetry.prometheus_text(), "", "the pipeline has ended");
}

#[tokio::test(start_paused = true)]
async fn redrives_stop_and_letters_that_end_with_the_process_are_told() {
    let queue = DeadLetterQueue::in_memory(10);
    let refused = queue.layer().layer(service_fn(|_: u32| async { Err::<(), _>("refused") }));
    refused.oneshot(7).await.unwrap_err();
    // It fails, so that the letter is never gone. The interval is long, so that only the shutdown ends it.
    let again = service_fn(|_: u32| async { Err::<(), BoxError>("refused".into()) });
    let running = queue.redrive_automatically(again, Redrive::all().interval(seconds(600))).unwrap();
    sleep(seconds(1)).await;
    assert!(!running.is_finished());
    let shutdown = Shutdown::builder().queue(&queue).signal(ready(())).build().unwrap();
    let report = shutdown.run(|_| async { Ok::<_, Infallible>(()) }).await.unwrap();
    let letters = report.step(ShutdownStep::Letters).unwrap();
    assert!(running.is_finished() && letters.took < seconds(1), "{report}");
    assert_eq!(letters.result, StepResult::Failed);
    let left = letters.left.as_deref().unwrap();
    assert_eq!(left, "queue `dead-letters`: letters in memory, which end with the process: 1");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_hangs_is_reported_at_the_limit() {
    let queue = DeadLetterQueue::in_memory(10);
    let refused = queue.layer().layer(service_fn(|_: u32| async { Err::<(), _>("refused") }));
    refused.oneshot(7).await.unwrap_err();
    let hanging = queue.clone();
    let redrive = tokio::spawn(async move {
        let hangs = service_fn(|_: u32| pending::<Result<(), BoxError>>());
        hanging.redrive(hangs, Redrive::all()).await
    });
    sleep(seconds(1)).await;
    let shutdown = Shutdown::builder().queue(&queue).signal(ready(())).letters(seconds(2)).build().unwrap();
    let report = shutdown.run(|_| async { Ok::<_, Infallible>(()) }).await.unwrap();
    let letters = report.step(ShutdownStep::Letters).unwrap();
    assert_eq!((letters.result, letters.took), (StepResult::TimedOut, seconds(2)));
    assert!(letters.left.as_deref().unwrap().contains("redrives that run: 1"), "{report}");
    redrive.abort();
}

#[test]
fn settings_are_read_strictly_and_their_sum_must_fit() {
    let settings: ShutdownSettings = serde_json::from_str(r#"{ "grace": "2s", "drain": 5 }"#).unwrap();
    assert_eq!((settings.grace, settings.drain), (seconds(2), seconds(5)));
    let error = serde_json::from_str::<ShutdownSettings>(r#"{ "gracee": "2s" }"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `gracee`") && error.contains("`grace`"), "{error}");
    let text = serde_json::to_string(&ShutdownSettings::default()).unwrap();
    assert_eq!(serde_json::from_str::<ShutdownSettings>(&text).unwrap(), ShutdownSettings::default());

    let default = ShutdownSettings::default();
    assert!(default.total < seconds(30), "Kubernetes kills after 30 s");
    let error = Shutdown::builder().signal(ready(())).drain(seconds(60)).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `shutdown.total` cannot be 28s; allowed: at least the sum of grace, drain, letters and telemetry, \
         which is 75s"
    );
    let error = Shutdown::builder().signal(ready(())).grace(Duration::MAX).build().unwrap_err();
    assert_eq!(error.setting(), "shutdown.grace");
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_panics_starts_the_shutdown_too() {
    let health = Health::standalone();
    let shutdown = Shutdown::builder()
        .health(&health)
        .grace(seconds(2))
        .signal(async { panic!("the channel is gone") })
        .build()
        .unwrap();
    let server = |stop: campanile::serve::Stop| async {
        stop.await;
        Ok::<_, Infallible>(())
    };
    let report = shutdown.run(server).await.unwrap();
    assert!(report.is_complete() && !health.is_ready());
    assert_eq!(report.steps.len(), 2);
}
