//! `Watch`: each stream gets each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile::health::{Component, Every};
use tokio::runtime::Handle;
use tonic::Code;

use super::*;

#[tokio::test]
async fn streams_get_the_failure_and_recovery_of_a_critical_component() {
    let (health, breaker) = critical("watched-db");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut client = server.client();
    let mut whole = client.watch(request("")).await.unwrap().into_inner();
    let mut db = client.watch(request("watched-db")).await.unwrap().into_inner();
    for status in [ServingStatus::Serving, ServingStatus::NotServing, ServingStatus::Serving] {
        match status {
            ServingStatus::NotServing => breaker.force_open(),
            _ => breaker.force_closed(),
        }
        assert_eq!((next(&mut whole).await, next(&mut db).await), (Some(status), Some(status)));
    }
}

#[tokio::test]
async fn a_name_without_a_component_is_unknown_until_one_is_registered() {
    let (health, _breaker) = critical("known-from-the-start");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut stream = server.client().watch(request("comes-later")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::ServiceUnknown));
    health.register(Component::new("something-else")).unwrap();
    health.register(Component::new("comes-later")).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
}

/// Calls the service without a network.
#[tokio::test(start_paused = true)]
async fn streams_get_a_registration_at_once() {
    let health = Health::standalone();
    let mut stream =
        HealthClient::new(health.grpc_service()).watch(request("registered-now")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::ServiceUnknown));
    // Lets the task that publishes changes start.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = tokio::time::Instant::now();
    health.register(Component::new("registered-now")).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn streams_get_the_outcome_of_a_check_at_once() {
    let health = Health::standalone();
    health.register(Component::new("checked-and-watched").critical(true)).unwrap();
    let passes = Arc::new(AtomicBool::new(true));
    let current = Arc::clone(&passes);
    let every = Every::seconds(10).jitter(0.0);
    let check = health.check("checked-and-watched", every, move || {
        let passes = current.load(Ordering::SeqCst);
        async move { if passes { Ok(()) } else { Err("away") } }
    });
    let check = check.unwrap();
    check.run().await;
    let mut stream = HealthClient::new(health.grpc_service()).watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    for (now, status) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        passes.store(now, Ordering::SeqCst);
        check.run().await;
        let ended = tokio::time::Instant::now();
        assert_eq!((next(&mut stream).await, ended.elapsed()), (Some(status), Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn one_task_publishes_for_all_streams_while_there_are_any() {
    let (health, _breaker) = critical("watched-by-many");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let client = HealthClient::new(health.grpc_service());
    for round in 0..2 {
        let mut streams = Vec::new();
        for _ in 0..1_000 {
            let mut stream = client.clone().watch(request("")).await.unwrap().into_inner();
            assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
            streams.push(stream);
        }
        assert_eq!(tasks(), before + 1, "round {round}");
        drop(streams);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(tasks(), before, "round {round}: there are no streams any more");
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_streams_and_the_size_of_requests_are_bounded() {
    const STREAMS: usize = 4_096;
    let health = Health::standalone();
    let client = HealthClient::new(health.grpc_service());
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(client.clone().watch(request("made-up")).await.unwrap().into_inner());
    }
    let refused = client.clone().watch(request("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        client.clone().check(request("")).await.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
    streams.pop();
    let mut stream = client.clone().watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    // Each stream keeps the requested name, so its size is bounded.
    drop(streams);
    let long = request(&"x".repeat(5_000));
    assert_eq!(client.clone().watch(long.clone()).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(client.clone().check(long).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_health_is_dropped() {
    let health = Health::standalone();
    let mut stream = HealthClient::new(health.grpc_service()).watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    drop(health);
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_over_the_network_all_get_each_change() {
    let (health, breaker) = critical("watched-by-a-thousand");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut streams = Vec::new();
    // A connection has 200 streams at most.
    for _ in 0..10 {
        let client = server.client();
        for _ in 0..100 {
            streams.push(client.clone().watch(request("")).await.unwrap().into_inner());
        }
    }
    for status in [ServingStatus::Serving, ServingStatus::NotServing, ServingStatus::Serving] {
        match status {
            ServingStatus::NotServing => breaker.force_open(),
            _ => breaker.force_closed(),
        }
        for stream in &mut streams {
            assert_eq!(next(stream).await, Some(status));
        }
    }
}
