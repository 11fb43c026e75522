//! The spans of requests over HTTP and gRPC.

mod access_log;
mod client;
mod ends;
#[cfg(feature = "grpc")]
mod grpc;
mod layers;
#[cfg(feature = "reqwest-middleware")]
mod peers;
mod server;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;

use crate::support::{Pipeline, attribute};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The response of `app` to `request`, read to its end under the subscriber of the pipeline.
async fn send(pipeline: &Pipeline, app: Router, request: Request<Body>) -> Response<Bytes> {
    let call = async {
        let (head, body) = app.oneshot(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    };
    call.with_subscriber(pipeline.dispatch()).await
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// The value of an attribute as text; empty without it.
fn text(span: &SpanData, key: &str) -> String {
    attribute(span, key).map(|value| value.to_string()).unwrap_or_default()
}

/// The only span.
fn only(pipeline: &Pipeline) -> SpanData {
    let [span] = &pipeline.spans()[..] else {
        panic!("there is not exactly one span: {:?}", pipeline.spans())
    };
    span.clone()
}

/// Whether the span has failed, and its `error.type`.
fn outcome(span: &SpanData) -> (bool, String) {
    (matches!(span.status, Status::Error { .. }), text(span, "error.type"))
}

fn failed(kind: &str) -> (bool, String) {
    (true, kind.to_owned())
}

fn fine() -> (bool, String) {
    (false, String::new())
}
