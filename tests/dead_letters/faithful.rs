//! A request is sent again exactly as it was, or its letter is evidence only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Payload, Redrive, Unsendable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::long::times;
use crate::model::{Any, Shape};

/// Parks a request and sends it again. Returns the request that arrived, or why it cannot be sent.
async fn there_and_back<Req>(queue: &DeadLetterQueue, request: Req) -> Result<Req, Unsendable>
where
    Req: Clone + Serialize + DeserializeOwned + Send + 'static,
{
    let broken = service_fn(|_: Req| async { Err::<(), _>(BoxError::from("broken")) });
    queue.layer().layer(broken).oneshot(request).await.unwrap_err();
    let arrived = Arc::new(Mutex::new(None));
    let service = service_fn({
        let arrived = Arc::clone(&arrived);
        move |request: Req| {
            *arrived.lock().unwrap() = Some(request);
            async { Ok::<_, BoxError>(()) }
        }
    });
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    queue.purge(LetterFilter::all()).await.unwrap();
    match arrived.lock().unwrap().take() {
        Some(request) => {
            assert_eq!((report.redriven, letter.unsendable), (1, None));
            Ok(request)
        }
        None => {
            let why = letter.unsendable.unwrap();
            assert_eq!((report.matched, report.skipped, report.failed), (1, 1, 0));
            assert_eq!(report.skipped_by, BTreeMap::from([(why, 1)]));
            assert!(letter.unsendable.is_some());
            Err(why)
        }
    }
}

/// Whether JSON alone restores a value.
fn json_holds(shape: &Shape, any: &Any) -> bool {
    use serde::de::DeserializeSeed;
    let text = serde_json::to_value(any).ok().and_then(|value| serde_json::to_string(&value).ok());
    let value = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let again = value.and_then(|value| shape.deserialize(&value).ok());
    again.is_some_and(|again| again.shown() == any.0.shown())
}

#[tokio::test(start_paused = true)]
async fn any_value_of_serde_is_restored_exactly_or_is_evidence() {
    let queue = DeadLetterQueue::in_memory(10);
    let mut rng = fastrand::Rng::with_seed(0x5eed);
    let (mut sent, mut evidence) = (0, 0);
    for case in 0..times(1_500, 20_000) {
        let shape = Shape::random(&mut rng, 4);
        let any = Any(shape.value(&mut rng));
        Any::set_shape(shape.clone());
        match there_and_back(&queue, any.clone()).await {
            Ok(arrived) => {
                assert_eq!(arrived.0.shown(), any.0.shown(), "case {case}: {shape:?}");
                sent += 1;
            }
            Err(why) => {
                assert_eq!(why, Unsendable::EvidenceOnly);
                assert!(!json_holds(&shape, &any), "case {case}: {shape:?} {any:?}");
                evidence += 1;
            }
        }
    }
    assert!(sent > evidence && evidence > sent / 20, "{sent} sent, {evidence} evidence");
    let snapshot = queue.snapshot();
    assert_eq!(snapshot.unsendable(Unsendable::EvidenceOnly), evidence);
    assert_eq!((snapshot.parked, snapshot.dropped_total()), (u64::from(times(1_500, 20_000)), 0));
}

#[tokio::test(start_paused = true)]
async fn numbers_are_restored_to_the_last_bit() {
    let queue = DeadLetterQueue::in_memory(10);
    let mut rng = fastrand::Rng::with_seed(4);
    let mut numbers: Vec<f64> = std::iter::repeat_with(|| f64::from_bits(rng.u64(..)))
        .filter(|n| n.is_finite())
        .take(2_000)
        .collect();
    numbers.extend([-0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX]);
    let arrived = there_and_back(&queue, numbers.clone()).await.unwrap();
    let other = numbers.iter().zip(&arrived).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    assert_eq!((other, arrived.len()), (0, 2_004));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    by_number: BTreeMap<u64, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Deep(Vec<Deep>);

#[tokio::test(start_paused = true)]
async fn values_that_json_does_not_hold_are_evidence_and_never_sent() {
    let queue = DeadLetterQueue::in_memory(10);
    let evidence = Unsendable::EvidenceOnly;
    assert_eq!(there_and_back(&queue, Some(f64::INFINITY)).await.unwrap_err(), evidence);
    assert_eq!(there_and_back(&queue, Some(f64::NAN)).await.unwrap_err(), evidence);
    assert_eq!(there_and_back(&queue, f64::NEG_INFINITY).await.unwrap_err(), evidence);
    assert_eq!(there_and_back(&queue, Some(None::<u8>)).await.unwrap_err(), evidence);
    assert_eq!(there_and_back(&queue, u128::MAX).await.unwrap_err(), evidence);
    assert_eq!(there_and_back(&queue, BTreeMap::from([((1, 2), 3)])).await.unwrap_err(), evidence);
    let flat = Flat { id: 1, by_number: BTreeMap::from([(7, "x".to_owned())]) };
    assert_eq!(there_and_back(&queue, flat).await.unwrap_err(), evidence);
    for (levels, sent) in [(120, true), (121, false), (126, false), (1_000, false)] {
        let deep = (1..levels).fold(Deep(Vec::new()), |deep, _| Deep(vec![deep]));
        assert_eq!(there_and_back(&queue, deep).await.is_ok(), sent, "{levels}");
    }
    assert_eq!(queue.snapshot().unsendable(evidence), 10);
}

#[tokio::test(start_paused = true)]
async fn evidence_can_be_read_and_searched_for_secrets() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Login {
        user: String,
        password: String,
        limit: Option<f64>,
        keys: BTreeMap<u128, u128>,
    }
    let queue = DeadLetterQueue::in_memory(10);
    let broken = service_fn(|_: Login| async { Err::<(), _>(BoxError::from("broken")) });
    let login = Login {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
        limit: Some(f64::INFINITY),
        keys: BTreeMap::from([(u128::MAX, 1)]),
    };
    queue.layer().layer(broken).oneshot(login).await.unwrap_err();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    let expected = json!({
        "user": "ann", "password": "[redacted]", "limit": "inf", "keys": {(u128::MAX.to_string()): 1}
    });
    assert_eq!(letter.payload, Payload::Value(expected));
    let text = serde_json::to_string(&letter).unwrap();
    assert!(text.contains(r#""unsendable":"evidence_only""#) && !text.contains("hunter2"), "{text}");
    // An export can be read again.
    assert_eq!(serde_json::from_str::<campanile::dead_letter::Letter>(&text).unwrap(), letter);
}
