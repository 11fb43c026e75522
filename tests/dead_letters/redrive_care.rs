//! Property 23: a redrive keeps to its rate, stops when too many letters fail, probes an open circuit with one letter, and
//! reports its progress.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::dead_letter::{
    LetterFilter, Redrive, RedriveProgress, RedriveReport, RedriveState, StopReason,
};
use campanile::{DeadLetterQueue, RejectReason, Rejected};
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn};

use crate::support::{Order, fail, waiting};

async fn queue_of(letters: u32) -> DeadLetterQueue {
    let queue = DeadLetterQueue::in_memory(10_000);
    for number in 1..=letters {
        fail(&queue, number).await;
    }
    queue
}

#[tokio::test(start_paused = true)]
async fn p23_a_rate_is_kept_exactly() {
    for (rate, letters) in [(7.0, 50), (333.0, 1_000), (1_000.0, 2_000), (3_000.0, 3_000)] {
        let queue = queue_of(letters).await;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn({
            let sent = Arc::clone(&sent);
            move |_: Order| {
                sent.lock().unwrap().push(Instant::now());
                async { Ok::<_, BoxError>(()) }
            }
        });
        queue.redrive(service, Redrive::all().rate(rate)).await.unwrap();
        let sent = sent.lock().unwrap();
        for (place, at) in sent.iter().enumerate() {
            let (due, at) = (place as f64 / rate, at.duration_since(sent[0]).as_secs_f64());
            // Timers have a resolution of a millisecond.
            assert!(at >= due - 0.002 && at <= due + 0.002, "{rate}: letter {place} at {at}, due {due}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p23_a_slow_service_is_not_followed_by_a_burst() {
    let queue = queue_of(40).await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn({
        let sent = Arc::clone(&sent);
        move |order: Order| {
            sent.lock().unwrap().push(Instant::now());
            async move {
                sleep(Duration::from_secs(if order.number == 10 { 5 } else { 0 })).await;
                Ok::<_, BoxError>(())
            }
        }
    });
    queue.redrive(service, Redrive::all().rate(100)).await.unwrap();
    let sent = sent.lock().unwrap();
    for pair in sent.windows(3) {
        assert!(pair[2] - pair[0] >= Duration::from_millis(14), "{:?}", pair[2] - pair[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_stops_when_too_large_a_share_fails() {
    let queue = queue_of(500).await;
    let service = service_fn(|order: Order| async move {
        if order.number.is_multiple_of(3) { Err(BoxError::from("no")) } else { Ok(()) }
    });
    let careful = Redrive::all().stop_at_failure_rate(0.33, 60);
    let report = queue.redrive(service, careful).await.unwrap();
    // The share is reached with a failure: 20 of 60.
    assert_eq!(report.stopped, Some(StopReason::FailureRate { failed: 20, sent: 60 }));
    assert_eq!((report.redriven, report.failed), (40, 20));
    let report = queue.redrive(service, Redrive::all().stop_after(100)).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::FailureRate { failed: 20, sent: 20 }));
}

#[tokio::test(start_paused = true)]
async fn p23_after_a_pause_one_letter_is_sent_as_a_probe() {
    let queue = queue_of(40).await;
    let (now, closed) = (Arc::new(AtomicU32::new(0)), Instant::now() + Duration::from_secs(12));
    let refused = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn({
        let (now, refused) = (Arc::clone(&now), Arc::clone(&refused));
        move |_: Order| {
            let (now, refused) = (Arc::clone(&now), Arc::clone(&refused));
            async move {
                let others = now.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                if Instant::now() < closed {
                    refused.lock().unwrap().push(others);
                    let wait = Some(Duration::from_secs(5));
                    return Err(BoxError::from(Rejected::new("payments", RejectReason::Open, wait)));
                }
                Ok(())
            }
        }
    });
    let report = queue.redrive(service, Redrive::all().concurrency(8)).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.stopped), (40, 0, None));
    // Eight were rejected, then one after each pause.
    let refused = refused.lock().unwrap();
    assert_eq!((refused.len(), &refused[8..]), (10, &[0, 0][..]));
}

#[tokio::test(start_paused = true)]
async fn p23_letters_that_fail_too_often_are_set_aside_and_can_be_brought_back() {
    let queue = queue_of(3).await;
    let service = service_fn(|order: Order| async move {
        if order.number == 2 { Err(BoxError::from("poison")) } else { Ok(()) }
    });
    let three = Redrive::all().set_aside_after(3);
    for round in 1..=3 {
        let report = queue.redrive(service, three.clone()).await.unwrap();
        assert_eq!((report.failed, report.set_aside), (1, u64::from(round == 3)));
    }
    assert_eq!(queue.snapshot().set_aside, 1);
    assert_eq!(queue.redrive(service, three.clone()).await.unwrap(), RedriveReport::default());
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert!(letter.set_aside);
    assert_eq!((letter.tries, letter.redrives), (4, 3));

    // A filter can select it. It is not set aside again.
    let report =
        queue.redrive(service, Redrive::only(LetterFilter::id(letter.id).set_aside(true))).await.unwrap();
    assert_eq!((report.failed, report.set_aside), (1, 0));
    assert_eq!(queue.bring_back(LetterFilter::all()).await.unwrap(), 1);
    assert_eq!(queue.bring_back(LetterFilter::all()).await.unwrap(), 0);
    let letter = queue.list(LetterFilter::all().set_aside(false)).await.unwrap().remove(0);
    assert_eq!((letter.tries, letter.redrives, letter.attempts.len()), (5, 0, 5));
    for round in 1..=3 {
        let report = queue.redrive(service, three.clone()).await.unwrap();
        assert_eq!((report.failed, report.set_aside), (1, u64::from(round == 3)));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_can_be_read_while_it_runs() {
    let queue = queue_of(1_000).await;
    assert!(queue.redrives().is_empty());
    let slow = service_fn(|_: Order| async {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, BoxError>(())
    });
    let run = tokio::spawn({
        let queue = queue.clone();
        async move { queue.redrive(slow, Redrive::only(LetterFilter::all().limit(900))).await }
    });
    sleep(Duration::from_millis(30_050)).await;
    let [progress] = &queue.redrives()[..] else { panic!("{:?}", queue.redrives()) };
    assert_eq!((progress.total, progress.state, progress.automatic), (900, RedriveState::Running, false));
    assert_eq!((progress.so_far.redriven, progress.so_far.failed), (300, 0));
    assert!((9.5..10.5).contains(&progress.per_second), "{progress:?}");
    let remaining = progress.remaining.unwrap().as_secs_f64();
    assert!((57.0..63.0).contains(&remaining), "{progress:?}");
    let text = serde_json::to_string(progress).unwrap();
    let mut read: RedriveProgress = serde_json::from_str(&text).unwrap();
    read.per_second = progress.per_second;
    assert_eq!(read, *progress);

    assert_eq!(queue.stop_redrives(), 1);
    assert_eq!(queue.redrives()[0].state, RedriveState::Stopping);
    let report = run.await.unwrap().unwrap();
    // The calls in progress have ended.
    assert_eq!((report.redriven, report.stopped), (301, Some(StopReason::Asked)));
    assert!(queue.redrives().is_empty());
    assert_eq!(waiting(&queue).await.len(), 699);
    assert_eq!(queue.stop_redrives(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_shows_in_the_progress() {
    let queue = queue_of(3).await;
    let refusing = service_fn(|_: Order| async {
        let wait = Some(Duration::from_secs(20));
        Err::<(), _>(BoxError::from(Rejected::new("payments", RejectReason::Open, wait)))
    });
    let run = tokio::spawn({
        let queue = queue.clone();
        async move { queue.redrive(refusing, Redrive::all()).await }
    });
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(queue.redrives()[0].state, RedriveState::Paused { .. }), "{:?}", queue.redrives());
    assert_eq!(queue.redrives()[0].so_far.paused, Duration::from_secs(20));
    // A redrive can be stopped during a pause.
    let asked = Instant::now();
    queue.stop_redrives();
    assert_eq!(run.await.unwrap().unwrap().stopped, Some(StopReason::Asked));
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[test]
fn settings_are_read_and_checked() {
    let redrive: Redrive = serde_json::from_str(
        r#"{ "filter": { "component": "payments" }, "rate": 50, "lease": "10s", "stop_at_failure_rate": 0.2 }"#,
    )
    .unwrap();
    let expected = Redrive::only(LetterFilter::all().component("payments"))
        .rate(50)
        .lease(Duration::from_secs(10))
        .stop_at_failure_rate(0.2, 20);
    assert_eq!(redrive, expected);
    assert!(serde_json::from_str::<Redrive>(r#"{ "leese": "10s" }"#).is_err());
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    let queue = DeadLetterQueue::in_memory(10);
    let wrong = [
        (Redrive::all().lease(Duration::from_millis(99)), "lease"),
        (Redrive::all().stop_at_failure_rate(0.0, 1), "stop_at_failure_rate"),
        (Redrive::all().stop_at_failure_rate(1.1, 1), "stop_at_failure_rate"),
        (Redrive::all().stop_at_failure_rate(f64::NAN, 1), "stop_at_failure_rate"),
        (Redrive::all().stop_at_failure_rate(0.5, 0), "failure_rate_minimum"),
        (Redrive::all().concurrency(1_025), "concurrency"),
        (Redrive::all().rate(0), "rate"),
        (Redrive::all().stop_after(0), "stop_after"),
    ];
    for (redrive, name) in wrong {
        let service = service_fn(|_: Order| async { Ok::<_, BoxError>(()) });
        let error = queue.redrive(service, redrive).await.unwrap_err();
        assert!(error.is_setting() && error.to_string().contains(name), "{error}");
    }
}
