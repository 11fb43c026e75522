//! `Check`.

use campanile::health::Component;
use tonic::Code;
use tower::{Service, ServiceExt};

use super::*;

#[tokio::test]
async fn the_process_and_each_component_have_a_status() {
    let (health, breaker) = critical("checked-db");
    health.register(Component::new("checked-mail")).unwrap();
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut client = server.client();
    for name in ["", "checked-db", "checked-mail"] {
        assert_eq!(
            client.check(request(name)).await.unwrap().into_inner().status(),
            ServingStatus::Serving,
            "{name}"
        );
    }
    let unknown = client.check(request("no-such-component")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    breaker.force_open();
    health.register(Component::new("checked-db").critical(true)).unwrap();
    for (name, status) in [
        ("", ServingStatus::NotServing),
        ("checked-db", ServingStatus::NotServing),
        ("checked-mail", ServingStatus::Serving),
    ] {
        assert_eq!(client.check(request(name)).await.unwrap().into_inner().status(), status, "{name}");
    }
}

#[tokio::test]
async fn a_starting_process_does_not_serve() {
    let (health, _breaker) = critical("starts-with-grpc");
    let gate = health.starting("migrations");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut client = server.client();
    assert_eq!(client.check(request("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    let mut watched = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::NotServing));
    gate.done();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    assert_eq!(client.check(request("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn an_unknown_component_does_not_serve_while_its_dependency_fails() {
    let (health, breaker) = critical("needed-db");
    health.register(Component::new("needs-db").depends_on("needed-db")).unwrap();
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut client = server.client();
    assert_eq!(
        client.check(request("needs-db")).await.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
    breaker.force_open();
    health.register(Component::new("needs-db").depends_on("needed-db")).unwrap();
    assert_eq!(
        client.check(request("needs-db")).await.unwrap().into_inner().status(),
        ServingStatus::NotServing
    );
}

/// The protocol of tonic-health has no `List`.
#[tokio::test]
async fn list_is_unimplemented() {
    let (health, _breaker) = critical("listed-db");
    let server = HealthServer::start(&health, Duration::ZERO).await;
    let mut channel = tonic::transport::Channel::from_shared(format!("http://{}", server.address))
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
