//! `Check`: one question, one answer.

use campanile::health::Component;
use tonic::Code;

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
