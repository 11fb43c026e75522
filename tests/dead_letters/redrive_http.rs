//! HTTP letters through retries, cancelled runs and further runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use campanile::dead_letter::Redrive;
use campanile::retry::ReplayBody;
use campanile::{Backoff, DeadLetterQueue, Retry};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

fn status(code: u16) -> Response<Empty<Bytes>> {
    Response::builder().status(code).body(Empty::new()).unwrap()
}

async fn queue_of(letters: u32) -> DeadLetterQueue {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 0..letters {
        let failing =
            service_fn(|_: Request<ReplayBody>| async { Ok::<_, std::convert::Infallible>(status(503)) });
        let mut request = Request::post(format!("/{number}")).body(Full::<Bytes>::default()).unwrap();
        if number == 0 {
            request.headers_mut().insert("idempotency-key", "of its own".parse().unwrap());
        }
        queue.http_layer().layer(failing).oneshot(request).await.unwrap();
    }
    queue
}

#[tokio::test(start_paused = true)]
async fn p23_a_letter_has_one_idempotency_key_over_all_attempts_runs_and_processes() {
    let queue = queue_of(6).await;
    let (calls, keys) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    let service = service_fn({
        let keys = Arc::clone(&keys);
        move |request: Request<ReplayBody>| {
            let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
            let mut keys = keys.lock().unwrap();
            let known: &mut (BTreeSet<String>, u32) =
                keys.entry(request.uri().path().to_owned()).or_default();
            known.0.insert(key);
            known.1 += 1;
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(Duration::from_millis(10)).await;
                Ok::<_, std::convert::Infallible>(status(if call < 40 { 503 } else { 200 }))
            }
        }
    });
    let wait = Backoff::constant(Duration::from_millis(10));
    let retry = Retry::builder().max_attempts(3).backoff(wait).build().unwrap();
    let stack = retry.http_layer().layer(service);
    let mut cut = 75;
    while !queue.is_empty().await.unwrap() {
        // The queue of another process.
        let other = queue.named(queue.name());
        let run = other.redrive_http(stack.clone(), Redrive::all().concurrency(2).set_aside_after(0));
        let _ = timeout(Duration::from_millis(cut), run).await;
        sleep(Duration::from_millis(1)).await;
        cut += 40;
    }
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 6);
    for (path, (keys, calls)) in keys.iter() {
        assert_eq!(keys.len(), 1, "{path}: {keys:?}");
        assert!(*calls >= 3, "{path} was called {calls} times");
    }
    assert!(keys["/0"].0.contains("of its own"));
    let all: BTreeSet<_> = keys.values().flat_map(|(keys, _)| keys).collect();
    assert_eq!(all.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_http_service_is_redriven_in_the_background() {
    let queue = queue_of(3).await;
    let service =
        service_fn(|_: Request<ReplayBody>| async { Ok::<_, std::convert::Infallible>(status(204)) });
    let running = queue.redrive_automatically_http(service, Redrive::all()).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(running.stop(Duration::from_secs(1)).await.redriven, 3);
    assert!(queue.is_empty().await.unwrap());
}
