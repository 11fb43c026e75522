//! What OTLP over HTTP is sent with.
//!
//! The exporter has clients of its own, chosen by the features of its crate; but those are shared with whoever
//! else uses that crate, in either direction. So there is one that nobody else can switch.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// More of an answer than a collector has to say.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Must be polled on a runtime.
#[derive(Clone, Debug)]
pub(super) struct HttpClient(Client<HttpConnector, Full<Bytes>>);

impl HttpClient {
    pub(super) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

type BoxError = Box<dyn Error + Send + Sync + 'static>;

impl opentelemetry_http::HttpClient for HttpClient {
    // The signature that `async_trait` gives it.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let (head, body) = self.0.request(request.map(Full::from)).await?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }
}
