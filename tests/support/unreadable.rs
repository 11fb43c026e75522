//! Checks of unreadable letters, for every store.

#![allow(dead_code)] // Each test binary uses some of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::dead_letter::{Letter, LetterFilter, LetterId, Payload, Redrive, Unsendable};
use campanile::store::{Entry, Store};
use campanile::{Backoff, DeadLetterQueue, FailureKind};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::store_checks::{WIDE, entry};

/// Parks a number by the layer.
pub(crate) async fn park(queue: &DeadLetterQueue, number: u32) -> LetterId {
    let broken = service_fn(|_: u32| async { Err::<(), _>(BoxError::from("broken")) });
    queue.layer().layer(broken).oneshot(number).await.unwrap_err();
    queue.list(LetterFilter::all()).await.unwrap().iter().map(|letter| letter.id).max().unwrap()
}

/// Heads that this version cannot read: empty, not JSON, not UTF-8, half a letter, a letter of a later version, JSON that is
/// nested too deeply, and a letter with another id.
fn heads(letter: &Letter) -> Vec<Vec<u8>> {
    let whole = serde_json::to_string(letter).unwrap();
    let later = whole.replacen(r#""kind":"error""#, r#""kind":"melted""#, 1);
    assert_ne!(later, whole);
    vec![
        Vec::new(),
        b"head".to_vec(),
        vec![0xff, 0xfe, 0],
        whole[..whole.len() / 2].into(),
        later.into(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)).into(),
        whole.into(),
    ]
}

/// Parks 1 and 2, with unreadable letters before, between and after them. Returns the unreadable ones.
async fn mixed(store: &dyn Store, queue: &DeadLetterQueue) -> Vec<Entry> {
    park(queue, 1).await;
    let example = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    let mut bad = Vec::new();
    for (place, head) in heads(&example).into_iter().enumerate() {
        if place == 3 {
            park(queue, 2).await;
        }
        let name: Arc<str> = queue.name().into();
        let entry = Entry {
            head,
            body: b"\xffbody".to_vec(),
            component: "payments".into(),
            kind: FailureKind::Timeout,
            ..entry(&name)
        };
        store.put(entry.clone(), WIDE).await.unwrap();
        bad.push(entry);
    }
    bad
}

/// Checks that an unreadable letter shows the fields and bytes of `entry`.
fn assert_shown(letter: &Letter, entry: &Entry) {
    assert_eq!((letter.id, &*letter.component), (entry.id, &*entry.component));
    assert_eq!((letter.kind, letter.fingerprint), (entry.kind, entry.fingerprint));
    assert_eq!((letter.first_failed, letter.last_failed), (entry.first_failed, entry.last_failed));
    assert_eq!(letter.unsendable, Some(Unsendable::Unreadable));
    let Payload::Unreadable(raw) = &letter.payload else { panic!("{letter:?}") };
    assert_eq!((raw.head.as_bytes(), raw.body.as_bytes()), (&entry.head[..], &entry.body[..]));
    assert_eq!((raw.head.as_bytes().len() + raw.body.as_bytes().len()) as u64, entry.size());
    assert!(!raw.why.is_empty());
    // It can be exported.
    let text = serde_json::to_string(letter).unwrap();
    assert_eq!(serde_json::from_str::<Letter>(&text).unwrap(), *letter);
}

/// Lists, groups, redrives and purges.
pub(crate) async fn an_unreadable_letter_hides_no_other<S: Store + Clone>(store: &S) {
    let queue = DeadLetterQueue::builder(format!("bad {}", LetterId::new())).on(store.clone()).unwrap();
    let bad = mixed(store, &queue).await;
    let all = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!((all.len(), queue.len().await.unwrap()), (9, 9));
    for entry in &bad {
        assert_shown(all.iter().find(|letter| letter.id == entry.id).unwrap(), entry);
        assert_shown(&queue.get(entry.id).await.unwrap().unwrap(), entry);
    }
    let groups = queue.groups(LetterFilter::all()).await.unwrap();
    let groups: Vec<_> = groups.iter().map(|group| (group.letters, group.example.unsendable)).collect();
    assert_eq!(groups, [(7, Some(Unsendable::Unreadable)), (2, None)]);
    assert_eq!(queue.count(LetterFilter::all().kind(FailureKind::Timeout)).await.unwrap(), 7);

    for dry in [true, false] {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn({
            let sent = Arc::clone(&sent);
            move |number: u32| {
                sent.lock().unwrap().push(number);
                async { Ok::<_, BoxError>(()) }
            }
        });
        let report = queue.redrive(service, Redrive::all().dry_run(dry)).await.unwrap();
        assert_eq!((report.matched, report.skipped, report.skipped_by[&Unsendable::Unreadable]), (9, 7, 7));
        assert_eq!(*sent.lock().unwrap(), if dry { vec![] } else { vec![1, 2] });
    }
    assert_eq!(queue.purge(LetterFilter::id(bad[0].id)).await.unwrap().purged, 1);
    assert_eq!(queue.purge(LetterFilter::all().component("payments").limit(2)).await.unwrap().purged, 2);
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, 4);
    assert!(queue.is_empty().await.unwrap() && queue.groups(LetterFilter::all()).await.unwrap().is_empty());
    assert_eq!(queue.purges().await.unwrap().len(), 3);
}

/// An automatic redrive sets unreadable letters aside unchanged, and sends the others.
pub(crate) async fn unreadable_letters_are_set_aside_unchanged<S: Store + Clone>(store: &S) {
    let queue = DeadLetterQueue::builder(format!("aside {}", LetterId::new())).on(store.clone()).unwrap();
    let bad = mixed(store, &queue).await;
    let (service, soon) = (service_fn(|_: u32| async { Ok::<_, BoxError>(()) }), Duration::from_millis(100));
    let settings = Redrive::all().set_aside_after(3).interval(soon).backoff(Backoff::exponential(soon, soon));
    let running = queue.redrive_automatically(service, settings).unwrap();
    for _ in 0..1_000 {
        if queue.snapshot().set_aside == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = running.stop(Duration::from_secs(5)).await;
    assert_eq!((report.redriven, report.failed, report.set_aside, report.skipped), (2, 0, 7, 21));
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.set_aside, snapshot.set_aside_unsendable), (7, 7));
    let aside = LetterFilter::all().set_aside(true);
    let groups = queue.groups(aside.clone()).await.unwrap();
    assert_eq!((groups[0].letters, groups[0].example.unsendable), (7, Some(Unsendable::Unreadable)));
    for (letter, entry) in queue.list(aside).await.unwrap().iter().zip(&bad) {
        assert!(letter.set_aside);
        assert_shown(letter, entry);
    }
    assert_eq!(queue.bring_back(LetterFilter::all()).await.unwrap(), 7);
    for (letter, entry) in queue.list(LetterFilter::all().set_aside(false)).await.unwrap().iter().zip(&bad) {
        assert!(!letter.set_aside && letter.due.is_none());
        assert_shown(letter, entry);
    }
    assert_eq!(queue.len().await.unwrap(), 7);
}
