//! How health, stores and redrives report an error.

use std::io;
use std::task::{Context, Poll};

use campanile::DeadLetterQueue;
use campanile::dead_letter::{Redrive, StopReason};
use campanile::health::{Every, Health};
use campanile::retry::ReplayBody;
use campanile::store::StoreError;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::types::{Odd, Payment, payment};

type Body = Full<bytes::Bytes>;

fn refused() -> Payment {
    payment(io::Error::from(io::ErrorKind::ConnectionRefused))
}

const IN_FULL: &str = "the payment failed: connection refused";

#[tokio::test]
async fn a_check_reports_the_causes_of_its_error() {
    let health = Health::standalone();
    let check = health.check("payments", Every::seconds(30), || async { Err::<(), _>(refused()) }).unwrap();
    assert_eq!(check.run().await.message.as_deref(), Some(IN_FULL));
    for (name, odd) in [("ring", Odd::Ring), ("panics", Odd::Panics)] {
        let check = health.check(name, Every::seconds(30), move || async move { Err::<(), _>(odd) }).unwrap();
        assert_eq!(check.run().await.message.as_deref(), Some("odd"));
    }
}

#[test]
fn an_error_of_a_store_reports_all_its_causes() {
    assert_eq!(StoreError::other(refused()).to_string(), format!("the store failed: {IN_FULL}"));
    assert_eq!(StoreError::other(Odd::Ring).to_string(), "the store failed: odd");
}

/// A service that is never ready.
#[derive(Clone)]
struct Unready;

impl Service<Request<ReplayBody>> for Unready {
    type Response = Response<Body>;
    type Error = Payment;
    type Future = std::future::Ready<Result<Self::Response, Payment>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Payment>> {
        Poll::Ready(Err(refused()))
    }

    fn call(&mut self, _: Request<ReplayBody>) -> Self::Future {
        unreachable!("it is not ready")
    }
}

#[tokio::test]
async fn a_redrive_reports_why_its_service_is_not_ready() {
    let queue = DeadLetterQueue::in_memory(10);
    let fails = service_fn(|_: Request<ReplayBody>| async { Err::<Response<Body>, _>(refused()) });
    queue.http_layer().layer(fails).oneshot(Request::new(Body::default())).await.unwrap_err();
    let report = queue.redrive_http(Unready, Redrive::all().dry_run(false)).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::NotReady(IN_FULL.to_owned())));
}
