//! The last good answer of any service, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::Fallback;
use campanile::fallback::{self, FallbackKind, NotKept};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::support::secs;

/// A switch that breaks a service.
#[derive(Clone, Default)]
struct Broken(Arc<AtomicBool>);

impl Broken {
    fn set(&self, broken: bool) {
        self.0.store(broken, Ordering::SeqCst);
    }

    fn answer<T>(&self, answer: T) -> Result<T, BoxError> {
        if self.0.load(Ordering::SeqCst) { Err("broken".into()) } else { Ok(answer) }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_of_the_same_key_is_given_until_it_is_too_old() {
    let (fallback, broken) = (Fallback::builder("x").max_age(secs(60)).build().unwrap(), Broken::default());
    let inner = {
        let broken = broken.clone();
        service_fn(move |n: u32| std::future::ready(broken.answer(format!("answer {n}"))))
    };
    let service = fallback.layer(fallback::last_good(|n: &u32| *n)).layer(inner);
    service.clone().oneshot(1).await.unwrap();
    broken.set(true);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), "answer 1");
    assert_eq!(service.clone().oneshot(2).await.unwrap_err().to_string(), "broken", "another key");
    tokio::time::advance(secs(60)).await;
    assert_eq!(service.clone().oneshot(1).await.unwrap(), "answer 1");
    tokio::time::advance(Duration::from_millis(1)).await;
    service.clone().oneshot(1).await.unwrap_err();
    let snapshot = fallback.snapshot();
    assert_eq!((snapshot.answered[&FallbackKind::LastGood], snapshot.missing), (2, 2));
    assert_eq!((snapshot.kept, snapshot.kept_bytes, snapshot.evicted), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_answer_is_dropped_for_a_new_one() {
    let (fallback, broken) = (Fallback::builder("x").max_answers(3).build().unwrap(), Broken::default());
    let inner = {
        let broken = broken.clone();
        service_fn(move |n: u32| std::future::ready(broken.answer(n)))
    };
    let service = fallback.layer(fallback::last_good(|n: &u32| *n)).layer(inner);
    // The answer to 1 is renewed.
    for n in [1, 2, 3, 1, 4] {
        service.clone().oneshot(n).await.unwrap();
    }
    broken.set(true);
    let mut kept = Vec::new();
    for n in 1..=4 {
        if service.clone().oneshot(n).await.is_ok() {
            kept.push(n);
        }
    }
    assert_eq!(kept, [1, 3, 4]);
    assert_eq!((fallback.snapshot().kept, fallback.snapshot().evicted), (3, 1));
    drop(service);
    assert_eq!((fallback.snapshot().kept, fallback.snapshot().kept_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn answers_are_bounded_by_bytes() {
    let fallback = Fallback::builder("x").max_bytes(10_000).build().unwrap();
    let inner = service_fn(|n: usize| std::future::ready(Ok::<_, BoxError>(vec![0_u8; n])));
    let last_good = fallback::last_good(|n: &usize| *n).size(Vec::len);
    let service = fallback.layer(last_good).layer(inner);
    for n in 0..100 {
        service.clone().oneshot(1_000 + n).await.unwrap();
        assert!(fallback.snapshot().kept_bytes <= 10_000);
    }
    assert_eq!(fallback.snapshot().kept, 8);
    service.clone().oneshot(10_000).await.unwrap();
    assert_eq!(fallback.snapshot().not_kept[&NotKept::TooLarge], 1);
    assert_eq!(fallback.snapshot().kept, 8);
}

#[tokio::test]
async fn a_panic_of_the_key_passes_no_call_by() {
    let fallback = Fallback::new("x");
    let inner = service_fn(|n: u32| std::future::ready(Ok::<_, BoxError>(n)));
    let key = |n: &u32| -> u32 {
        assert!(*n != 7, "on purpose");
        *n
    };
    let service = fallback.layer(fallback::last_good(key)).layer(inner);
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
    assert_eq!(fallback.snapshot().not_kept[&NotKept::Panic], 1);
}
