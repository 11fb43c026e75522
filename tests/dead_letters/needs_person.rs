//! Letters that cannot be sent are read less and less often, and then set aside for a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile::dead_letter::{LetterFilter, Redrive, Unsendable};
use campanile::{Backoff, DeadLetterQueue, Jitter};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::time::sleep;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tracing::Level;

use crate::support::{LogLines, Order, fail, order};

const SECOND: Duration = Duration::from_secs(1);

/// 10 s, 20 s, 40 s and so on.
fn patient(set_aside_after: u32) -> Redrive {
    let backoff = Backoff::exponential(10 * SECOND, 3_600 * SECOND).jitter(Jitter::None);
    Redrive::all().backoff(backoff).set_aside_after(set_aside_after)
}

/// A request of another version, which cannot be read from an [`Order`]. It counts the reads.
#[derive(Clone, Debug, Serialize)]
struct Later {
    customer: u64,
}

static READS: AtomicU64 = AtomicU64::new(0);

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Real {
            customer: u64,
        }
        READS.fetch_add(1, Ordering::SeqCst);
        Real::deserialize(deserializer).map(|real| Self { customer: real.customer })
    }
}

#[tokio::test(start_paused = true)]
async fn letters_of_another_type_wait_longer_each_time_and_are_then_set_aside() {
    let lines = LogLines::at(Level::WARN);
    let _guard = tracing::subscriber::set_default(lines.clone());
    let queue = DeadLetterQueue::in_memory(1_000);
    for number in 0..100 {
        fail(&queue, number).await;
    }
    let service = service_fn(|_: Later| async { Ok::<_, BoxError>(()) });
    let running = queue.redrive_automatically(service, patient(5)).unwrap();
    // The letters are read after 0 s, 10 s, 30 s, 70 s and 150 s.
    for (after, looks) in [(5, 1), (8, 2), (20, 3), (40, 4), (70, 4), (20, 5), (86_400, 5)] {
        sleep(after * SECOND).await;
        assert_eq!(READS.load(Ordering::SeqCst), 100 * looks, "{after}");
    }
    let report = running.stop(SECOND).await;
    assert_eq!((report.skipped, report.set_aside, report.failed), (500, 100, 0));
    assert_eq!(report.skipped_by[&Unsendable::OtherType], 500);
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.set_aside, snapshot.set_aside_unsendable, snapshot.waiting), (100, 100, 100));
    let groups = queue.groups(LetterFilter::all().set_aside(true)).await.unwrap();
    assert_eq!((groups.len(), groups[0].letters), (1, 100));
    assert_eq!(groups[0].example.unsendable, Some(Unsendable::OtherType));
    assert_eq!((groups[0].example.redrives, groups[0].example.tries), (0, 1));

    // One line when all were skipped first, and one when all were set aside.
    let logged = lines.lines();
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert!(
        logged[0].contains("letters=100 set_aside=0") && logged[0].contains("other_type 100"),
        "{logged:?}"
    );
    assert!(logged[1].contains("letters=100 set_aside=100"), "{logged:?}");
    // The log names the field, and not its value.
    assert!(
        logged[0].contains("its field `customer` does not fit the type `dead_letters::needs_person::Later`"),
        "{logged:?}"
    );

    // A deploy that can read them.
    let sent = Arc::new(AtomicU64::new(0));
    let service = service_fn({
        let sent = Arc::clone(&sent);
        move |_: Order| {
            sent.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, BoxError>(()) }
        }
    });
    assert_eq!(queue.redrive(service.clone(), Redrive::all()).await.unwrap().matched, 0);
    let by_hand = Redrive::only(LetterFilter::all().set_aside(true).limit(40));
    assert_eq!(queue.redrive(service.clone(), by_hand).await.unwrap().redriven, 40);
    let running = queue.redrive_automatically(service, patient(5)).unwrap();
    assert_eq!(queue.bring_back(LetterFilter::all()).await.unwrap(), 60);
    sleep(SECOND).await;
    assert_eq!((sent.load(Ordering::SeqCst), queue.len().await.unwrap()), (100, 0));
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn letters_that_no_version_can_send_are_set_aside_at_once() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Login {
        password: String,
    }
    let queue = DeadLetterQueue::in_memory(10);
    let broken = service_fn(|_: Login| async { Err::<(), _>(BoxError::from("broken")) });
    let login = Login { password: "hunter2".to_owned() };
    queue.layer().layer(broken).oneshot(login).await.unwrap_err();
    let broken = service_fn(|_: Option<f64>| async { Err::<(), _>(BoxError::from("broken")) });
    queue.layer().layer(broken).oneshot(Some(f64::NAN)).await.unwrap_err();
    let snapshot = queue.snapshot();
    let of = [Unsendable::Redacted, Unsendable::EvidenceOnly, Unsendable::Body]
        .map(|why| snapshot.unsendable(why));
    assert_eq!((of, snapshot.set_aside), ([1, 1, 0], 0));

    let service = service_fn(|_: Login| async { Ok::<_, BoxError>(()) });
    let running = queue.redrive_automatically(service, patient(10)).unwrap();
    sleep(86_400 * SECOND).await;
    let report = running.stop(SECOND).await;
    assert_eq!((report.skipped, report.set_aside, report.redriven), (2, 2, 0));
    let why: Vec<_> =
        queue.list(LetterFilter::all()).await.unwrap().iter().map(|l| (l.set_aside, l.unsendable)).collect();
    assert_eq!(why, [(true, Some(Unsendable::Redacted)), (true, Some(Unsendable::EvidenceOnly))]);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_skipped_letters_are_read_less_and_less_often() {
    let queue = DeadLetterQueue::in_memory(10);
    fail(&queue, 1).await;
    let service = service_fn(|_: Option<String>| async { Ok::<_, BoxError>(()) });
    let running = queue.redrive_automatically(service, patient(0)).unwrap();
    sleep(10 * 3_600 * SECOND).await;
    // Ten reads in the first 85 minutes, and then one each hour.
    let report = running.stop(SECOND).await;
    assert!((17..=19).contains(&report.skipped) && report.set_aside == 0, "{report:?}");
    // A redrive by hand leaves it unchanged.
    let before = queue.list(LetterFilter::all()).await.unwrap();
    let service = service_fn(|_: Option<String>| async { Ok::<_, BoxError>(()) });
    assert_eq!(queue.redrive(service, Redrive::all()).await.unwrap().skipped, 1);
    assert_eq!(queue.list(LetterFilter::all()).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_deserialize_does_not_end_the_redrive() {
    #[derive(Clone, Debug)]
    struct Touchy(u32);
    impl<'de> Deserialize<'de> for Touchy {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let number = Order::deserialize(deserializer)?.number;
            assert_ne!(number, 2, "on purpose");
            Ok(Self(number))
        }
    }
    let queue = DeadLetterQueue::in_memory(10);
    for number in 1..=3 {
        fail(&queue, number).await;
    }
    let service =
        service_fn(
            |touchy: Touchy| async move { if touchy.0 > 0 { Ok(()) } else { Err(BoxError::from("no")) } },
        );
    let dry = queue.redrive(service, Redrive::all().dry_run(true)).await.unwrap();
    assert_eq!((dry.matched, dry.skipped), (3, 1));
    let running = queue.redrive_automatically(service, patient(3)).unwrap();
    sleep(3_600 * SECOND).await;
    assert!(!running.is_finished());
    let report = running.stop(SECOND).await;
    assert_eq!((report.redriven, report.skipped, report.set_aside), (2, 3, 1));
    assert_eq!(order(2).number, 2);
}
