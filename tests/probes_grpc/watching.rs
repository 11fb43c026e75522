//! `Watch`: every change, to all who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile::health::{Component, Every};
use tokio::runtime::Handle;
use tonic::Code;

use super::*;

#[tokio::test]
async fn a_critical_component_that_fails_and_comes_back_is_told() {
    let (health, breaker) = critical("watched-db");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut client = served.client();
    let mut whole = client.watch(about("")).await.unwrap().into_inner();
    let mut db = client.watch(about("watched-db")).await.unwrap().into_inner();
    for status in [ServingStatus::Serving, ServingStatus::NotServing, ServingStatus::Serving] {
        match status {
            ServingStatus::NotServing => breaker.force_open(),
            _ => breaker.force_closed(),
        }
        assert_eq!((next(&mut whole).await, next(&mut db).await), (Some(status), Some(status)));
    }
}

#[tokio::test]
async fn a_name_that_nothing_has_is_unknown_until_something_has_it() {
    let (health, _breaker) = critical("known-from-the-start");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut stream = served.client().watch(about("comes-later")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::ServiceUnknown));
    health.register(Component::new("something-else")).unwrap();
    health.register(Component::new("comes-later")).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
}

/// Clients without a network between: the service itself.
#[tokio::test(start_paused = true)]
async fn a_change_that_people_make_is_told_without_waiting() {
    let health = Health::standalone();
    let mut stream =
        HealthClient::new(health.grpc_service()).watch(about("said-now")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::ServiceUnknown));
    // The task that looks for those who watch has begun, and waits.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = tokio::time::Instant::now();
    health.register(Component::new("said-now")).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_and_passes_again_is_told_when_it_does() {
    let health = Health::standalone();
    health.register(Component::new("checked-and-watched").critical(true)).unwrap();
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&well);
    let every = Every::seconds(10).jitter(0.0);
    let check = health.check("checked-and-watched", every, move || {
        let well = asked.load(Ordering::SeqCst);
        async move { if well { Ok(()) } else { Err("away") } }
    });
    let check = check.unwrap();
    check.run().await;
    let mut stream = HealthClient::new(health.grpc_service()).watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    for (now, status) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        well.store(now, Ordering::SeqCst);
        check.run().await;
        let told = tokio::time::Instant::now();
        assert_eq!((next(&mut stream).await, told.elapsed()), (Some(status), Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn one_task_looks_for_all_who_watch_as_long_as_somebody_does() {
    let (health, _breaker) = critical("watched-by-many");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let client = HealthClient::new(health.grpc_service());
    for round in 0..2 {
        let mut streams = Vec::new();
        for _ in 0..1_000 {
            let mut stream = client.clone().watch(about("")).await.unwrap().into_inner();
            assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
            streams.push(stream);
        }
        assert_eq!(tasks(), before + 1, "round {round}");
        drop(streams);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(tasks(), before, "round {round}: nobody watches any more");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_and_questions_of_strangers_are_bounded() {
    const STREAMS: usize = 4_096;
    let health = Health::standalone();
    let client = HealthClient::new(health.grpc_service());
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(client.clone().watch(about("made-up")).await.unwrap().into_inner());
    }
    let refused = client.clone().watch(about("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(client.clone().check(about("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    streams.pop();
    let mut stream = client.clone().watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    // Each stream keeps its name.
    drop(streams);
    let long = about(&"x".repeat(5_000));
    assert_eq!(client.clone().watch(long.clone()).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(client.clone().check(long).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_health_that_it_is_about() {
    let health = Health::standalone();
    let mut stream = HealthClient::new(health.grpc_service()).watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    drop(health);
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_on_the_wire_all_hear_of_each_change() {
    let (health, breaker) = critical("watched-by-a-thousand");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut streams = Vec::new();
    // A connection carries 200 streams at most.
    for _ in 0..10 {
        let client = served.client();
        for _ in 0..100 {
            streams.push(client.clone().watch(about("")).await.unwrap().into_inner());
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
