//! Property 24: named secrets are not stored.

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterSettings, LetterFilter, Payload, Redaction, Redrive};
use campanile::redact::RedactionSettings;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower::{BoxError, Layer, ServiceExt, service_fn};

#[derive(Clone, Serialize, Deserialize)]
struct Login {
    user: String,
    password: String,
    #[serde(rename = "pinCode")]
    pin_code: u32,
}

#[tokio::test(start_paused = true)]
async fn p24_fields_and_messages_are_redacted() {
    let queue = DeadLetterQueue::builder("logins").redact(["pin-code"]).build().unwrap();
    let service = queue.layer().layer(service_fn(|login: Login| async move {
        Err::<(), BoxError>(format!("refused: password={} for {}", login.password, login.user).into())
    }));
    let login = Login { user: "ann".to_owned(), password: "hunter2".to_owned(), pin_code: 4711 };
    let error = service.oneshot(login).await.unwrap_err();
    assert!(error.to_string().contains("hunter2"), "the caller's error is its own");

    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!(
        letter.payload,
        Payload::Value(json!({"user": "ann", "password": "[redacted]", "pinCode": "[redacted]"}))
    );
    assert_eq!(letter.message, "refused: password=[redacted] for ann");
    let field = |name: &str| Redaction::Field(name.to_owned());
    assert!(letter.redacted.contains(&field("password")) && letter.redacted.contains(&field("pinCode")));
    let everything = serde_json::to_string(&letter).unwrap();
    assert!(!everything.contains("hunter2") && !everything.contains("4711"), "{everything}");
}

#[tokio::test(start_paused = true)]
async fn p24_messages_are_redacted_more_strictly_than_requests() {
    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.layer().layer(service_fn(|order: String| async move {
        Err::<(), BoxError>(format!("refused: {order}").into())
    }));
    let order = "card 4111111111111111 of ann@example.com".to_owned();
    service.oneshot(order.clone()).await.unwrap_err();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!(letter.payload, Payload::Value(json!(order)));
    assert_eq!(letter.message, "refused: card [redacted] of [redacted]");
}

#[tokio::test(start_paused = true)]
async fn a_redacted_letter_is_not_sent() {
    let queue = DeadLetterQueue::in_memory(10);
    let service = queue.layer().layer(service_fn(|_: Login| async { Err::<(), _>("broken") }));
    let login = Login { user: "ann".to_owned(), password: "hunter2".to_owned(), pin_code: 1 };
    service.oneshot(login).await.unwrap_err();
    let never = service_fn(|_: Login| async { Err::<(), BoxError>("it was sent".into()) });
    let report = queue.redrive(never, Redrive::all()).await.unwrap();
    assert_eq!((report.matched, report.skipped, report.failed), (1, 1, 0));
    assert_eq!(queue.len().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_default_names_can_be_switched_off() {
    let queue = DeadLetterQueue::builder("logins")
        .settings(DeadLetterSettings { redact_defaults: false, ..DeadLetterSettings::default() })
        .build()
        .unwrap();
    let service = queue.layer().layer(service_fn(|_: Login| async { Err::<(), _>("broken") }));
    let login = Login { user: "ann".to_owned(), password: "hunter2".to_owned(), pin_code: 1 };
    service.oneshot(login).await.unwrap_err();
    assert!(queue.list(LetterFilter::all()).await.unwrap()[0].unsendable.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_hash_tells_equal_secrets_from_different_ones() {
    let redaction = RedactionSettings::names_only().hash(["user"]).key("0123456789abcdef");
    let queue = DeadLetterQueue::builder("logins").redaction(redaction).build().unwrap();
    let service = queue.layer().layer(service_fn(|login: Login| async move {
        Err::<(), BoxError>(format!("user={}, mail=ann@example.com", login.user).into())
    }));
    for user in ["ann", "bob", "ann"] {
        let login = Login { user: user.to_owned(), password: "hunter2".to_owned(), pin_code: 1 };
        service.clone().oneshot(login).await.unwrap_err();
    }
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let users: Vec<_> = letters
        .iter()
        .map(|letter| match &letter.payload {
            Payload::Value(value) => value["user"].as_str().unwrap(),
            payload => panic!("{payload:?}"),
        })
        .collect();
    assert!(users[0].starts_with("hash:") && users[0] == users[2] && users[0] != users[1], "{users:?}");
    assert_eq!(letters[0].message, format!("user={}, mail=ann@example.com", users[0]));
}

#[test]
fn a_hash_without_a_key_is_refused() {
    let settings =
        serde_json::from_str(r#"{"redaction": {"names": {"user": "hash"}, "key": "short"}}"#).unwrap();
    let error = DeadLetterQueue::builder("logins").settings(settings).build().unwrap_err();
    assert_eq!(error.setting(), "redaction.key");
    assert!(!error.to_string().contains("short"), "{error}");
}
