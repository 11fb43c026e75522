//! The way out: nobody serves any more, and no stream holds up the end.

use campanile::health::Component;
use tonic::Code;

use super::*;

#[tokio::test]
async fn a_drain_is_told_at_once_and_the_server_ends_though_somebody_watches() {
    let (health, _breaker) = critical("drained-db");
    health.register(Component::new("drained-mail")).unwrap();
    let served = Served::start(&health, Duration::from_millis(500)).await;
    let mut client = served.client();
    let mut streams = Vec::new();
    for name in ["", "drained-db", "drained-mail"] {
        let mut stream = client.watch(about(name)).await.unwrap().into_inner();
        assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving), "{name}");
        streams.push(stream);
    }
    served.signal.send(()).unwrap();
    for stream in &mut streams {
        assert_eq!(next(stream).await, Some(ServingStatus::NotServing));
    }
    // Still served, for as long as the grace lasts.
    for name in ["", "drained-db", "drained-mail"] {
        assert_eq!(client.check(about(name)).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    }
    for stream in &mut streams {
        assert_eq!(next(stream).await, None, "the stream ends in order");
    }
    served.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_grace_period_they_are_told_and_the_server_ends() {
    let (health, _breaker) = critical("drained-without-grace");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut stream = served.client().watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    served.signal.send(()).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut stream).await, None);
    served.ended.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_plain_drain_ends_the_streams_a_little_later() {
    let health = Health::standalone();
    let mut client = HealthClient::new(health.grpc_service());
    let mut stream = client.watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    // The task that looks for those who watch has begun, and waits.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = tokio::time::Instant::now();
    health.drain();
    assert_eq!(
        (next(&mut stream).await, before.elapsed()),
        (Some(ServingStatus::NotServing), Duration::ZERO)
    );
    // Who comes again meanwhile may stay: to end at once would only make it come again.
    let mut again = client.watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut again).await, Some(ServingStatus::NotServing));
    assert_eq!((next(&mut stream).await, next(&mut again).await), (None, None));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert_eq!(client.watch(about("")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn a_drain_before_the_signal_does_not_cut_the_grace_short() {
    let health = Health::standalone();
    let mut client = HealthClient::new(health.grpc_service());
    let mut stream = client.watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    let before = tokio::time::Instant::now();
    health.drain();
    let shutdown = tokio::spawn(health.drain_after(std::future::ready(()), Duration::from_secs(20)));
    tokio::task::yield_now().await;
    health.drain();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::NotServing));
    assert_eq!((next(&mut stream).await, before.elapsed()), (None, Duration::from_secs(20)));
    shutdown.await.unwrap();
}
