//! A tonic client in front of a tonic server that streams, each behind its own layers.

use std::time::Duration;

use campanile::breaker::{BreakerSettings, Cancelled};
use campanile::outcome::ByGrpcStatus;
use campanile::retry::{GiveUp, ReplayBody};
use campanile::{CircuitBreaker, CircuitState};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt};

use crate::bells::{COUNT, ECHO, RING, Ring, Server, Text};
use crate::{Stack, assert_idle, bounded, counts, outcomes, retry, stack, timed};

type Client = Grpc<BoxCloneService<http::Request<Body>, http::Response<Body>, Status>>;

/// The whole stack around a channel.
fn client(stack: &Stack, server: &Server) -> Client {
    let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap().connect_lazy();
    Grpc::new(
        ServiceBuilder::new()
            .map_response(|response: http::Response<_>| response.map(Body::new))
            .map_err(|error: tonic::transport::Error| Status::from_error(error.into()))
            .layer(stack.queue.http_layer().classify(ByGrpcStatus))
            .layer(stack.retry.grpc_layer())
            .layer(stack.breaker.grpc_layer())
            .layer(stack.timing.grpc_client_layer())
            .map_request(|request: http::Request<ReplayBody>| request.map(Body::new))
            .service(channel)
            .boxed_clone(),
    )
}

/// Starts a call that the test controls.
async fn start_ring(
    stack: &Stack,
    server: &mut Server,
) -> (tokio::task::JoinHandle<Result<tonic::Response<Streaming<String>>, Status>>, Ring) {
    let mut client = client(stack, server);
    client.ready().await.unwrap();
    let call = tokio::spawn(async move {
        client.server_streaming(Request::new("begin".to_owned()), PathAndQuery::from_static(RING), Text).await
    });
    (call, server.rings.recv().await.unwrap())
}

/// A stream whose first message was read, and the sender of its messages.
async fn ringing(stack: &Stack, server: &mut Server) -> (Streaming<String>, crate::bells::Answers) {
    let (call, ring) = start_ring(stack, server).await;
    ring.begin.send(Ok(())).unwrap();
    ring.answers.send(Ok("ding".to_owned())).await.unwrap();
    let mut stream = call.await.unwrap().unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap(), "ding");
    (stream, ring.answers)
}

/// Asserts that both sides have these outcomes, and that no call runs.
#[track_caller]
fn assert_both(stack: &Stack, server: &Server, outcome: &'static str, time: &'static str) {
    for (breaker, timing) in [(&stack.breaker, &stack.timing), (&server.breaker, &server.timing)] {
        assert_eq!((outcomes(breaker), timed(timing)), (counts([(outcome, 1)]), counts([(time, 1)])));
        assert_idle(breaker, timing);
    }
}

#[tokio::test]
async fn p07_a_stream_is_counted_at_its_end_on_both_sides() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (mut stream, answers) = ringing(&stack, &mut server).await;
        for (breaker, timing) in [(&stack.breaker, &stack.timing), (&server.breaker, &server.timing)] {
            assert_eq!((outcomes(breaker), timing.snapshot().in_flight), (counts([]), 1));
        }
        drop(answers);
        assert_eq!(stream.message().await.unwrap(), None);
        assert_both(&stack, &server, "success", "fine");
    })
    .await;
}

/// Its head was a success and its first message was read, so another attempt is impossible.
#[tokio::test]
async fn p07_an_error_in_the_trailers_is_a_failure_and_too_late_for_a_retry() {
    bounded(async {
        let (stack, mut server) = (stack(retry().retry_non_idempotent(true)), Server::start().await);
        let (mut stream, answers) = ringing(&stack, &mut server).await;
        answers.send(Err(Status::internal("the rope is torn"))).await.unwrap();
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        assert_both(&stack, &server, "error", "error");
        let retried = stack.retry.snapshot();
        assert_eq!((retried.calls, retried.retries, stack.queue.len().await.unwrap()), (1, 0, 0));
    })
    .await;
}

/// `UNAVAILABLE` means that the call was not processed. Other errors are retried only if the settings allow it.
#[tokio::test]
async fn p11_an_error_instead_of_a_stream_is_retried_if_allowed() {
    for (code, allowed, retried) in
        [(Code::Unavailable, false, true), (Code::Internal, false, false), (Code::Internal, true, true)]
    {
        bounded(async {
            let (stack, mut server) = (stack(retry().retry_non_idempotent(allowed)), Server::start().await);
            let (call, ring) = start_ring(&stack, &mut server).await;
            ring.begin.send(Err(Status::new(code, "closed on Mondays"))).unwrap();
            if retried {
                let ring = server.rings.recv().await.unwrap();
                ring.begin.send(Ok(())).unwrap();
                drop(ring.answers);
                let mut stream = call.await.unwrap().unwrap().into_inner();
                assert_eq!(stream.message().await.unwrap(), None);
            } else {
                assert_eq!(call.await.unwrap().unwrap_err().code(), code);
            }
            let given_up = stack.retry.snapshot().given_up[&GiveUp::NotIdempotent];
            assert_eq!(
                (given_up, stack.queue.len().await.unwrap()),
                (u64::from(!retried), u64::from(!retried))
            );
            let expected =
                if retried { counts([("error", 1), ("success", 1)]) } else { counts([("error", 1)]) };
            assert_eq!((outcomes(&stack.breaker), outcomes(&server.breaker)), (expected.clone(), expected));
            assert_idle(&stack.breaker, &stack.timing);
            assert_idle(&server.breaker, &server.timing);
        })
        .await;
    }
}

#[tokio::test]
async fn p07_a_stream_that_its_client_drops_is_ignored() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (stream, answers) = ringing(&stack, &mut server).await;
        drop(stream);
        answers.closed().await;
        assert_both(&stack, &server, "ignored", "ignored");
        assert_eq!(stack.retry.snapshot().retries, 0);
    })
    .await;
}

/// A stack for which every wait of a reader is a stall.
fn impatient() -> Stack {
    let mut stack = stack(retry());
    let settings = stack.breaker.settings();
    stack.breaker = CircuitBreaker::from_settings(
        "impatient",
        &BreakerSettings { cancelled: Cancelled::FailureAfter(Duration::ZERO), ..settings },
    )
    .unwrap();
    stack
}

/// A reader that drops a stream with a successful head, no messages and no trailers.
#[tokio::test]
async fn p07_a_stream_that_stalls_until_its_reader_drops_it_is_a_failure() {
    for two_ways in [false, true] {
        bounded(async {
            let (stack, mut server) = (impatient(), Server::start().await);
            let (mut stream, _open) = if two_ways {
                let (say, messages) = mpsc::unbounded_channel();
                let mut client = client(&stack, &server);
                client.ready().await.unwrap();
                let messages = Request::new(UnboundedReceiverStream::new(messages));
                let answer = client.streaming(messages, PathAndQuery::from_static(ECHO), Text).await;
                (answer.unwrap().into_inner(), Err(say))
            } else {
                let (call, ring) = start_ring(&stack, &mut server).await;
                ring.begin.send(Ok(())).unwrap();
                (call.await.unwrap().unwrap().into_inner(), Ok(ring.answers))
            };
            assert!(tokio_test::task::spawn(stream.message()).poll().is_pending());
            // The smallest step of the clock.
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(stream);
            assert_eq!(outcomes(&stack.breaker), counts([("cancelled", 1)]));
            assert_eq!(stack.breaker.state(), CircuitState::Open);
            assert_idle(&stack.breaker, &stack.timing);
        })
        .await;
    }
}

/// A stream holds the permit of a half-open circuit to its end, of any kind.
#[tokio::test]
async fn p02_a_stream_that_is_a_probe_releases_its_permit() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (call, ring) = start_ring(&stack, &mut server).await;
        ring.begin.send(Err(Status::internal("the rope is torn"))).unwrap();
        call.await.unwrap().unwrap_err();
        let permits = |server: &Server| {
            [&stack.breaker, &server.breaker].map(|breaker| breaker.snapshot().probes_in_flight)
        };
        for _ in 0..3 {
            let (stream, answers) = ringing(&stack, &mut server).await;
            assert_eq!(permits(&server), [1, 1]);
            // The permit is taken, so another call is refused.
            let mut other = client(&stack, &server);
            other.ready().await.unwrap();
            let refused =
                other.unary(Request::new(String::new()), PathAndQuery::from_static(COUNT), Text).await;
            assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
            drop(stream);
            answers.closed().await;
            assert_eq!(permits(&server), [0, 0]);
        }
        let (mut stream, answers) = ringing(&stack, &mut server).await;
        drop(answers);
        assert_eq!(stream.message().await.unwrap(), None);
        assert_eq!(permits(&server), [0, 0]);
        for breaker in [&stack.breaker, &server.breaker] {
            assert_eq!(breaker.state(), CircuitState::Closed);
        }
    })
    .await;
}

#[tokio::test]
async fn p07_a_connection_that_breaks_during_a_stream_is_a_failure_for_the_client_only() {
    bounded(async {
        let (stack, mut server) = (stack(retry().retry_non_idempotent(true)), Server::start().await);
        let (mut stream, answers) = ringing(&stack, &mut server).await;
        server.cut_connections();
        assert!(stream.message().await.is_err());
        assert_eq!(
            (outcomes(&stack.breaker), timed(&stack.timing)),
            (counts([("error", 1)]), counts([("error", 1)]))
        );
        assert_idle(&stack.breaker, &stack.timing);
        assert_eq!(stack.retry.snapshot().retries, 0);
        // The server sees a client that disconnected.
        answers.closed().await;
        assert_eq!(
            (outcomes(&server.breaker), timed(&server.timing)),
            (counts([("ignored", 1)]), counts([("ignored", 1)]))
        );
        assert_idle(&server.breaker, &server.timing);
    })
    .await;
}

#[tokio::test]
async fn p11_a_call_whose_connection_breaks_may_have_been_processed() {
    for allowed in [true, false] {
        bounded(async {
            let (stack, mut server) = (stack(retry().retry_non_idempotent(allowed)), Server::start().await);
            let (call, mut ring) = start_ring(&stack, &mut server).await;
            server.cut_connections();
            ring.begin.closed().await;
            if allowed {
                let ring = server.rings.recv().await.unwrap();
                ring.begin.send(Ok(())).unwrap();
                drop(ring.answers);
                assert_eq!(call.await.unwrap().unwrap().into_inner().message().await.unwrap(), None);
                assert_eq!(outcomes(&stack.breaker), counts([("error", 1), ("success", 1)]));
            } else {
                call.await.unwrap().unwrap_err();
                assert_eq!(outcomes(&stack.breaker), counts([("error", 1)]));
            }
            assert_eq!(stack.queue.len().await.unwrap(), u64::from(!allowed));
            assert_eq!(timed(&server.timing)["cancelled"], 1);
            assert_idle(&stack.breaker, &stack.timing);
            assert_idle(&server.breaker, &server.timing);
        })
        .await;
    }
}

/// A call whose client sends messages while it runs, and its response.
async fn speak(
    stack: &Stack,
    server: &Server,
) -> (mpsc::UnboundedSender<String>, JoinHandle<Result<Response<String>, Status>>) {
    let (say, messages) = mpsc::unbounded_channel();
    let mut client = client(stack, server);
    client.ready().await.unwrap();
    let call = tokio::spawn(async move {
        let messages = Request::new(UnboundedReceiverStream::new(messages));
        client.client_streaming(messages, PathAndQuery::from_static(COUNT), Text).await
    });
    (say, call)
}

/// A client that has ended its stream, and a server that answers after that.
#[tokio::test]
async fn p07_a_client_that_half_closes_gets_its_response() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (say, call) = speak(&stack, &server).await;
        for message in ["ding", "dong"] {
            say.send(message.to_owned()).unwrap();
            assert_eq!(server.heard.recv().await.unwrap(), message);
        }
        assert_eq!((stack.timing.snapshot().in_flight, server.timing.snapshot().in_flight), (1, 1));
        drop(say);
        assert_eq!(call.await.unwrap().unwrap().into_inner(), "2");
        assert_both(&stack, &server, "success", "fine");
    })
    .await;
}

/// A server that answers early does not wait for the rest of the messages. The layers must not either.
#[tokio::test]
async fn p11_an_early_response_ends_the_call() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (say, call) = speak(&stack, &server).await;
        say.send("enough".to_owned()).unwrap();
        assert_eq!(server.heard.recv().await.unwrap(), "enough");
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Internal);
        assert_both(&stack, &server, "error", "error");
        assert_eq!(stack.queue.len().await.unwrap(), 1);
        drop(say);
    })
    .await;
}

/// The sent messages are replayed, and later ones reach the second attempt.
#[tokio::test]
async fn p10_a_stream_to_a_server_that_is_not_ready_is_replayed_and_continues() {
    bounded(async {
        let (stack, mut server) = (stack(retry()), Server::start().await);
        let (say, call) = speak(&stack, &server).await;
        say.send("later".to_owned()).unwrap();
        for _ in 0..2 {
            assert_eq!(server.heard.recv().await.unwrap(), "later");
        }
        say.send("dong".to_owned()).unwrap();
        drop(say);
        assert_eq!(call.await.unwrap().unwrap().into_inner(), "2");
        for (breaker, timing) in [(&stack.breaker, &stack.timing), (&server.breaker, &server.timing)] {
            assert_eq!(outcomes(breaker), counts([("error", 1), ("success", 1)]));
            assert_idle(breaker, timing);
        }
        assert_eq!((stack.retry.snapshot().retries, stack.queue.len().await.unwrap()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn p07_a_half_closed_stream_continues_in_the_other_direction() {
    bounded(async {
        let (stack, server) = (stack(retry()), Server::start().await);
        let (say, messages) = mpsc::unbounded_channel();
        let mut client = client(&stack, &server);
        client.ready().await.unwrap();
        let messages = Request::new(UnboundedReceiverStream::new(messages));
        let answer = client.streaming(messages, PathAndQuery::from_static(ECHO), Text).await.unwrap();
        let mut stream = answer.into_inner();
        say.send("ding".to_owned()).unwrap();
        assert_eq!(stream.message().await.unwrap().unwrap(), "ding");
        drop(say);
        assert_eq!(stream.message().await.unwrap().unwrap(), "good-bye");
        assert_eq!((outcomes(&stack.breaker), stack.timing.snapshot().in_flight), (counts([]), 1));
        assert_eq!(stream.message().await.unwrap(), None);
        assert_both(&stack, &server, "success", "fine");
    })
    .await;
}
