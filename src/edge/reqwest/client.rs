//! The client: what people call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::reqwest::{Client, Error, Request, RequestBuilder, Response};
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt};

use super::convert::{HidesSecrets, to_http};
use super::send::Sender;
use super::service::{HttpService, HttpServiceFuture};
use crate::base::error::{CallError, ConfigError};
use crate::edge::stack::Layers;
use crate::layers::breaker::CircuitBreaker;
use crate::layers::retry::Retry;
use crate::layers::timing::Timing;

/// A [`reqwest::Client`](Client) with layers around it: see the [module](super).
///
/// Clones share the layers and the client. It is a [`tower::Service`] too, of [`reqwest::Request`](Request).
#[derive(Clone)]
pub struct HttpClient {
    name: Arc<str>,
    client: Client,
    layers: Layers,
    service: HttpService,
}

impl HttpClient {
    /// A client with a [`Retry`], a [`CircuitBreaker`] and a [`Timing`] of this name, each with its defaults. To park what
    /// fails for good, use [`HttpClient::builder`].
    ///
    /// # Errors
    /// Returns an error if the default settings of a layer are not valid for this name.
    ///
    /// # Example
    /// ```
    /// let payments = campanile::reqwest::HttpClient::new("payments", reqwest::Client::new())?;
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    pub fn new(name: impl Into<Arc<str>>, client: Client) -> Result<Self, ConfigError> {
        let name = name.into();
        let retry = Retry::builder().name(Arc::clone(&name)).build()?;
        let breaker = CircuitBreaker::builder(Arc::clone(&name)).build()?;
        let timing = Timing::new(Arc::clone(&name));
        Ok(Self::builder(name, client).retry(&retry).breaker(&breaker).timing(&timing).build())
    }

    pub(crate) fn with(name: Arc<str>, client: Client, layers: Layers) -> Self {
        let service = HttpService::new(layers.around(Sender(client.clone())));
        Self { name, client, layers, service }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client of reqwest, to build requests.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The handles of the layers in use.
    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The breaker, if there is one.
    #[must_use]
    pub fn breaker(&self) -> Option<&CircuitBreaker> {
        self.layers.breaker.as_ref()
    }

    /// The retry, if there is one.
    #[must_use]
    pub fn retry(&self) -> Option<&Retry> {
        self.layers.retry.as_ref()
    }

    /// The timing, if there is one.
    #[must_use]
    pub fn timing(&self) -> Option<&Timing> {
        self.layers.timing.as_ref()
    }

    /// Sends the request that `builder` describes, through the layers and the client of this value. The client that made the
    /// builder sends nothing.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit is open, [`CallError::TimedOut`] after a time limit of the retry,
    /// [`CallError::Inner`] with the error of reqwest. A response of any status is no error. A request that `builder` cannot
    /// build reaches no layer.
    pub async fn send(&self, builder: RequestBuilder) -> Result<Response, CallError<Error>> {
        match builder.build() {
            Ok(request) => self.execute(request).await,
            Err(error) => Err(CallError::Inner(error.without_secrets())),
        }
    }

    /// Sends `request` through the layers.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn execute(&self, request: Request) -> Result<Response, CallError<Error>> {
        let request = to_http(request).map_err(|error| CallError::Inner(error.without_secrets()))?;
        self.service.clone().oneshot(request).await.map(Response::from)
    }

    /// The same layers and client for requests of the crate `http`, such as a redrive sends.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::Redrive;
    /// use campanile::reqwest::HttpClient;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let payments = HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).build();
    /// let report = queue.redrive_http(payments.http_service(), Redrive::all().rate(20)).await?;
    /// assert_eq!(report.redriven, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http_service(&self) -> HttpService {
        self.service.clone()
    }
}

impl Service<Request> for HttpClient {
    type Response = Response;
    type Error = CallError<Error>;
    type Future = HttpClientFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let state = match to_http(request) {
            Ok(request) => State::Called { call: self.service.call(request) },
            Err(error) => State::Failed { error: Some(error.without_secrets()) },
        };
        HttpClientFuture { state }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("name", &self.name)
            .field("letters", &self.layers.letters.is_some())
            .field("retry", &self.layers.retry.is_some())
            .field("breaker", &self.layers.breaker.is_some())
            .field("timing", &self.layers.timing.is_some())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`HttpClient`] as a service.
    pub struct HttpClientFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Called { #[pin] call: HttpServiceFuture },
        Failed { error: Option<Error> },
    }
}

impl Future for HttpClientFuture {
    type Output = Result<Response, CallError<Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { call } => Poll::Ready(ready!(call.poll(cx)).map(Response::from)),
            StateProjection::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(CallError::Inner(error))),
                None => panic!("the future of an HTTP client was polled after completion"),
            },
        }
    }
}

impl fmt::Debug for HttpClientFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientFuture").finish_non_exhaustive()
    }
}
