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

/// Begins a call of which the test decides how it goes on.
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

/// A stream that has begun, with its first message read, and the way to go on with it.
async fn ringing(stack: &Stack, server: &mut Server) -> (Streaming<String>, crate::bells::Answers) {
    let (call, ring) = start_ring(stack, server).await;
    ring.begin.send(Ok(())).unwrap();
    ring.answers.send(Ok("ding".to_owned())).await.unwrap();
    let mut stream = call.await.unwrap().unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap(), "ding");
    (stream, ring.answers)
}

/// Both sides have seen these outcomes and these times, and nothing runs.
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

/// Its head was a success and its beginning has been read: nobody can take that back for another attempt.
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

/// `UNAVAILABLE` says that nothing was done; after another error that is for the user to say.
#[tokio::test]
async fn p11_an_error_in_place_of_a_stream_is_retried_when_that_is_allowed() {
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
async fn p07_a_client_that_drops_a_stream_says_nothing_about_the_service() {
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

/// A stack to which a reader that waits at all has waited too long.
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

/// A reader that gives up on a stream that has a good head, and no messages and no trailers.
#[tokio::test]
async fn p07_a_stream_that_stalls_until_its_reader_leaves_is_a_failure_of_the_service() {
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
            // As little as the clock can tell.
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(stream);
            assert_eq!(outcomes(&stack.breaker), counts([("cancelled", 1)]));
            assert_eq!(stack.breaker.state(), CircuitState::Open);
            assert_idle(&stack.breaker, &stack.timing);
        })
        .await;
    }
}

/// A half-open circuit lends its permit to the stream until its end, however that comes.
#[tokio::test]
async fn p02_a_stream_that_is_a_probe_gives_its_permit_back() {
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
            // Another call meets a circuit that is full.
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
async fn p07_a_connection_that_breaks_under_a_stream_is_a_failure_of_the_service_alone() {
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
        // The server sees a client that is gone.
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
async fn p11_a_connection_that_breaks_before_the_answer_may_have_been_processed() {
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

/// A call whose client goes on to speak while it runs, and its answer.
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

/// A client that has said all, and a server that answers then.
#[tokio::test]
async fn p07_a_client_that_half_closes_gets_its_answer() {
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

/// A server that has heard enough does not wait for the rest, and neither may the layers.
#[tokio::test]
async fn p11_an_answer_before_the_client_has_said_all_ends_the_call() {
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

/// What the client has said is said again, and what it says later reaches the second attempt.
#[tokio::test]
async fn p10_a_stream_to_a_server_that_is_not_ready_is_sent_again_and_goes_on() {
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
async fn p07_a_half_closed_stream_goes_on_the_other_way() {
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
