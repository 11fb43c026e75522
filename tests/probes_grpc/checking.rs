//! `Check`: one question, one answer.

use campanile::health::Component;
use tonic::Code;
use tower::{Service, ServiceExt};

use super::*;

#[tokio::test]
async fn the_whole_and_each_component_say_whether_they_serve() {
    let (health, breaker) = critical("asked-db");
    health.register(Component::new("asked-mail")).unwrap();
    let served = Served::start(&health, Duration::ZERO).await;
    let mut client = served.client();
    for name in ["", "asked-db", "asked-mail"] {
        assert_eq!(
            client.check(about(name)).await.unwrap().into_inner().status(),
            ServingStatus::Serving,
            "{name}"
        );
    }
    let unknown = client.check(about("asked-nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    breaker.force_open();
    health.register(Component::new("asked-db").critical(true)).unwrap();
    for (name, status) in [
        ("", ServingStatus::NotServing),
        ("asked-db", ServingStatus::NotServing),
        ("asked-mail", ServingStatus::Serving),
    ] {
        assert_eq!(client.check(about(name)).await.unwrap().into_inner().status(), status, "{name}");
    }
}

#[tokio::test]
async fn a_process_that_starts_does_not_serve() {
    let (health, _breaker) = critical("starts-with-grpc");
    let gate = health.starting("migrations");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut client = served.client();
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    let mut watched = client.watch(about("")).await.unwrap().into_inner();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::NotServing));
    gate.done();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_component_that_was_never_called_does_not_serve_while_what_it_needs_fails() {
    let (health, breaker) = critical("needed-db");
    health.register(Component::new("needs-db").depends_on("needed-db")).unwrap();
    let served = Served::start(&health, Duration::ZERO).await;
    let mut client = served.client();
    assert_eq!(client.check(about("needs-db")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    breaker.force_open();
    health.register(Component::new("needs-db").depends_on("needed-db")).unwrap();
    assert_eq!(
        client.check(about("needs-db")).await.unwrap().into_inner().status(),
        ServingStatus::NotServing
    );
}

/// The protocol of tonic-health has no `List`.
#[tokio::test]
async fn who_asks_for_a_list_is_told_that_there_is_none() {
    let (health, _breaker) = critical("listed-db");
    let served = Served::start(&health, Duration::ZERO).await;
    let mut channel = tonic::transport::Channel::from_shared(format!("http://{}", served.address))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let request = http::Request::post("/grpc.health.v1.Health/List")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]))))
        .unwrap();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], (Code::Unimplemented as i32).to_string());
}
