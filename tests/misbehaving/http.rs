//! A hyper client and a server that disconnects, stalls and sends invalid HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use campanile::retry::{GiveUp, ReplayBody};
use campanile::{CircuitState, TimedOut};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::tcp::{Act, BODY, Server, Then};
use crate::{Stack, assert_idle, bounded, counts, outcomes, retry, stack, timed};

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The whole stack around a client that opens a connection for each request.
fn client(stack: &Stack) -> BoxCloneService<Request<Full<Bytes>>, Answer, BoxError> {
    ServiceBuilder::new()
        .map_response(|response: Response<_>| {
            response.map(|body| BodyExt::map_err(body, BoxError::from).boxed_unsync())
        })
        .map_err(BoxError::from)
        .layer(stack.queue.http_layer())
        .layer(stack.retry.http_layer())
        .layer(stack.breaker.http_layer())
        .layer(stack.timing.http_client_layer())
        .service(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http::<ReplayBody>())
        .boxed_clone()
}

fn request(method: Method, address: SocketAddr) -> Request<Full<Bytes>> {
    let body = if method == Method::GET { Bytes::new() } else { Bytes::from_static(b"order") };
    Request::builder().method(method).uri(format!("http://{address}/orders")).body(Full::new(body)).unwrap()
}

/// Sends a request and reads the response to its end. Returns whether it succeeded.
async fn send(stack: &Stack, request: Request<Full<Bytes>>) -> bool {
    match client(stack).oneshot(request).await {
        Ok(response) => {
            let body = response.into_body().collect().await;
            body.is_ok_and(|body| body.to_bytes() == BODY)
        }
        Err(_) => false,
    }
}

/// Asserts that the next success closes the circuit.
async fn assert_recovers(stack: &Stack, address: SocketAddr) {
    assert_idle(&stack.breaker, &stack.timing);
    assert!(send(stack, request(Method::GET, address)).await);
    assert_eq!(stack.breaker.state(), CircuitState::Closed);
    assert_idle(&stack.breaker, &stack.timing);
}

const NO_ANSWER: [Act; 3] = [Act::Close, Act::Reset, Act::Garbage];

#[tokio::test]
async fn p11_a_get_without_a_response_is_sent_again() {
    for act in NO_ANSWER {
        bounded(async {
            let (stack, mut server) = (stack(retry()), Server::start([act, act]).await);
            assert!(send(&stack, request(Method::GET, server.address)).await, "{act:?}");
            assert_eq!(server.requests(), 3);
            assert_eq!(outcomes(&stack.breaker), counts([("error", 2), ("success", 1)]));
            assert_eq!(timed(&stack.timing), counts([("error", 2), ("fine", 1)]));
            assert_eq!((stack.retry.snapshot().retries, stack.queue.len().await.unwrap()), (2, 0));
            assert_recovers(&stack, server.address).await;
        })
        .await;
    }
}

#[tokio::test]
async fn p11_a_get_that_never_gets_a_response_is_parked_once() {
    for act in NO_ANSWER {
        bounded(async {
            let (stack, mut server) = (stack(retry()), Server::start([act; 3]).await);
            assert!(!send(&stack, request(Method::GET, server.address)).await, "{act:?}");
            assert_eq!(server.requests(), 3);
            assert_eq!(outcomes(&stack.breaker), counts([("error", 3)]));
            assert_eq!(timed(&stack.timing), counts([("error", 3)]));
            assert_eq!(stack.retry.snapshot().given_up[&GiveUp::Attempts], 1);
            assert_eq!(stack.queue.len().await.unwrap(), 1);
            assert_recovers(&stack, server.address).await;
        })
        .await;
    }
}

#[tokio::test]
async fn p11_a_post_without_a_response_may_have_been_processed() {
    for act in NO_ANSWER {
        for keyed in [false, true] {
            bounded(async {
                let (stack, mut server) = (stack(retry()), Server::start([act]).await);
                let mut order = request(Method::POST, server.address);
                if keyed {
                    order.headers_mut().insert("idempotency-key", http::HeaderValue::from_static("7"));
                }
                assert_eq!(send(&stack, order).await, keyed, "{act:?}");
                assert_eq!(server.requests(), 1 + usize::from(keyed));
                assert_eq!(stack.retry.snapshot().given_up[&GiveUp::NotIdempotent], u64::from(!keyed));
                assert_eq!(stack.queue.len().await.unwrap(), u64::from(!keyed));
                assert_recovers(&stack, server.address).await;
            })
            .await;
        }
    }
}

#[tokio::test]
async fn p11_a_post_that_found_no_server_is_sent_again() {
    bounded(async {
        let address = {
            let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let stack = stack(retry());
        assert!(!send(&stack, request(Method::POST, address)).await);
        assert_eq!(outcomes(&stack.breaker), counts([("error", 3)]));
        assert_eq!(timed(&stack.timing), counts([("error", 3)]));
        assert_eq!(stack.retry.snapshot().given_up[&GiveUp::Attempts], 1);
        assert_eq!(stack.queue.len().await.unwrap(), 1);
        assert_idle(&stack.breaker, &stack.timing);
    })
    .await;
}

/// The caller has the successful head, so it is too late for another attempt or a letter.
#[tokio::test]
async fn p07_a_body_that_breaks_off_is_a_failure_at_that_moment() {
    for (length, then) in [(5, Then::Reset), (5, Then::HalfClose), (0, Then::HalfClose), (0, Then::Reset)] {
        bounded(async {
            let (stack, mut server) = (stack(retry()), Server::start([Act::Part(length, then)]).await);
            let response = client(&stack).oneshot(request(Method::GET, server.address)).await.unwrap();
            assert_eq!((outcomes(&stack.breaker), stack.timing.snapshot().in_flight), (counts([]), 1));
            server.release();
            assert!(response.into_body().collect().await.is_err(), "{length} {then:?}");
            assert_eq!(outcomes(&stack.breaker), counts([("error", 1)]));
            assert_eq!(timed(&stack.timing), counts([("error", 1)]));
            let retried = stack.retry.snapshot();
            assert_eq!((server.requests(), retried.retries, retried.successes), (1, 0, 1));
            assert_eq!(stack.queue.len().await.unwrap(), 0);
            assert_recovers(&stack, server.address).await;
        })
        .await;
    }
}

/// A probe holds its permit to the end of the body.
#[tokio::test]
async fn p07_a_body_that_stalls_ends_when_it_is_finished_or_dropped() {
    for finishes in [true, false] {
        bounded(async {
            let acts = [Act::Close, Act::Part(5, Then::Finish)];
            let (stack, mut server) = (stack(retry()), Server::start(acts).await);
            // The second attempt is a probe.
            let response = client(&stack).oneshot(request(Method::GET, server.address)).await.unwrap();
            let mut body = response.into_body();
            let half = body.frame().await.unwrap().unwrap().into_data().ok().unwrap();
            assert_eq!(half, BODY[..5]);
            assert!(tokio_test::task::spawn(body.frame()).poll().is_pending());
            let running = (stack.breaker.snapshot().probes_in_flight, stack.timing.snapshot().in_flight);
            assert_eq!((running, outcomes(&stack.breaker)), ((1, 1), counts([("error", 1)])));
            if finishes {
                server.release();
                assert_eq!(body.collect().await.unwrap().to_bytes(), BODY[5..]);
            } else {
                // Its reader drops it soon, so the call is ignored.
                drop(body);
            }
            let (outcome, time) = if finishes { ("success", "fine") } else { ("ignored", "ignored") };
            assert_eq!(outcomes(&stack.breaker), counts([("error", 1), (outcome, 1)]));
            assert_eq!(timed(&stack.timing), counts([("error", 1), (time, 1)]));
            assert_eq!(server.requests(), 2);
            assert_recovers(&stack, server.address).await;
        })
        .await;
    }
}

#[tokio::test]
async fn p07_a_caller_that_cancels_a_stalled_call_leaks_nothing() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start([Act::Close, Act::Stall]).await);
        let call = tokio::spawn(client(&stack).oneshot(request(Method::GET, server.address)));
        for _ in 0..2 {
            server.requests.recv().await.unwrap();
        }
        assert_eq!((stack.breaker.snapshot().probes_in_flight, stack.timing.snapshot().in_flight), (1, 1));
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        assert_eq!(outcomes(&stack.breaker), counts([("error", 1), ("ignored", 1)]));
        assert_eq!(timed(&stack.timing), counts([("cancelled", 1), ("error", 1)]));
        let retried = stack.retry.snapshot();
        assert_eq!((retried.calls, retried.cancelled, stack.queue.len().await.unwrap()), (1, 1, 0));
        assert_recovers(&stack, server.address).await;
    })
    .await;
}

#[tokio::test]
async fn p10_each_attempt_to_a_stalled_server_ends_at_its_time_limit() {
    bounded(async {
        let limit = Duration::from_millis(50);
        let (stack, server) = (stack(retry().attempt_timeout(limit)), Server::start([Act::Stall; 3]).await);
        let response = client(&stack).oneshot(request(Method::GET, server.address)).await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.extensions().get::<TimedOut>().unwrap().limit(), limit);
        // A time limit of the retry counts as a timeout of the service, however short it is.
        assert_eq!(outcomes(&stack.breaker), counts([("timeout", 3)]));
        assert_eq!(timed(&stack.timing), counts([("timeout", 3)]));
        assert_eq!(stack.queue.len().await.unwrap(), 1);
        assert_recovers(&stack, server.address).await;
    })
    .await;
}
