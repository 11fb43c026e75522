//! Draining: nothing serves any more, and no stream delays the end of the server.

use campanile::health::Component;
use tonic::Code;

use super::*;

#[tokio::test]
async fn streams_get_a_drain_at_once_and_end_before_the_server() {
    let (health, _breaker) = critical("drained-db");
    health.register(Component::new("drained-mail")).unwrap();
    let server = HealthServer::start(&health, Duration::from_millis(500)).await;
    let mut client = server.client();
    let mut streams = Vec::new();
    for name in ["", "drained-db", "drained-mail"] {
        let mut stream = client.watch(request(name)).await.unwrap().into_inner();
        assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving), "{name}");
        streams.push(stream);
    }
    server.signal.send(()).unwrap();
    for stream in &mut streams {
        assert_eq!(next(stream).await, Some(ServingStatus::NotServing));
    }
    // Requests are server during the grace period.
    for name in ["", "drained-db", "drained-mail"] {
        assert_eq!(
            client.check(request(name)).await.unwrap().into_inner().status(),
            ServingStatus::NotServing
        );
    }
    for stream in &mut streams {
        assert_eq!(next(stream).await, None, "the stream ends without an error");
    }
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_grace_period_streams_get_the_drain_and_the_server_ends() {
    let (health, _breaker) = critical("drained-without-grace");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut stream = server.client().watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    server.signal.send(()).unwrap();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut stream).await, None);
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_a_grace_period_ends_the_streams_after_5_s() {
    let health = Health::standalone();
    let mut client = HealthClient::new(health.grpc_service());
    let mut stream = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    // Lets the task that publishes changes start.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = tokio::time::Instant::now();
    health.drain();
    assert_eq!(
        (next(&mut stream).await, before.elapsed()),
        (Some(ServingStatus::NotServing), Duration::ZERO)
    );
    // A new stream stays open until then: if it ended at once, the client would only open another.
    let mut again = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut again).await, Some(ServingStatus::NotServing));
    assert_eq!((next(&mut stream).await, next(&mut again).await), (None, None));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert_eq!(client.watch(request("")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(client.check(request("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn a_drain_before_the_signal_does_not_shorten_the_grace_period() {
    let health = Health::standalone();
    let mut client = HealthClient::new(health.grpc_service());
    let mut stream = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::Serving));
    let before = tokio::time::Instant::now();
    health.drain();
    let twenty = Duration::from_secs(20);
    let shutdown = Shutdown::builder().health(&health).grace(twenty).total(2 * twenty);
    let shutdown = shutdown.signal(std::future::ready(())).build().unwrap();
    let shutdown = tokio::spawn(shutdown.run(|stop| async {
        stop.await;
        Ok::<_, std::convert::Infallible>(())
    }));
    tokio::task::yield_now().await;
    health.drain();
    assert_eq!(next(&mut stream).await, Some(ServingStatus::NotServing));
    assert_eq!((next(&mut stream).await, before.elapsed()), (None, Duration::from_secs(20)));
    shutdown.await.unwrap().unwrap();
}
