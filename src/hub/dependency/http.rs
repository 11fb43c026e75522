//! The layers around HTTP clients.

use std::fmt;
use std::task::{Context, Poll};

use http::Request;
use tower::Service;

use super::handle::Dependency;
use crate::base::bounds::RequestBody;
use crate::base::error::ByError;
use crate::edge::stack::{Layers, Spans, Stack};
use crate::layers::replay::ReplayBody;

impl Dependency {
    /// Puts all layers around an HTTP client, such as that of hyper-util: a service of `http::Request<ReplayBody>`. The result
    /// takes requests with any body.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    /// use campanile::retry::ReplayBody;
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let payments = campanile.dependency("payments").build().await?;
    /// let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody>();
    /// let client = payments.http_client(client);
    /// # let _: campanile::hub::DependencyClient<_> = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http_client<S: Clone, K>(&self, client: S) -> DependencyClient<S, K> {
        DependencyClient { stack: self.layers().around(client), body_cap: self.body_cap() }
    }

    /// Puts all layers around a client of reqwest.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let payments = campanile.dependency("payments").build().await?;
    /// let client = payments.reqwest(reqwest::Client::new());
    /// # let sends = async {
    /// let response = client.send(client.client().get("http://payments/orders")).await;
    /// # };
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "reqwest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
    #[must_use]
    pub fn reqwest(&self, client: reqwest::Client) -> crate::edge::reqwest::HttpClient {
        crate::edge::reqwest::HttpClient::with(std::sync::Arc::clone(&self.inner.name), client, self.layers())
    }

    /// How much of a body is kept for another attempt.
    pub(super) fn body_cap(&self) -> usize {
        self.retry().map_or(0, |retry| retry.settings().body_cap)
    }

    pub(super) fn layers(&self) -> Layers {
        let inner = &self.inner;
        Layers {
            letters: inner.letters.clone(),
            retry: inner.retry.clone(),
            breaker: inner.breaker.clone(),
            timing: Some(inner.timing.clone()),
            telemetry: Some(Spans {
                telemetry: inner.telemetry.clone(),
                component: std::sync::Arc::clone(&inner.component),
            }),
        }
    }
}

/// An HTTP client with the layers of a [`Dependency`]: see [`Dependency::http_client`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
pub struct DependencyClient<S, K = ByError> {
    stack: Stack<S, K>,
    body_cap: usize,
}

impl<S: Clone, K> Clone for DependencyClient<S, K> {
    fn clone(&self) -> Self {
        Self { stack: self.stack.clone(), body_cap: self.body_cap }
    }
}

impl<S, K> fmt::Debug for DependencyClient<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyClient").finish_non_exhaustive()
    }
}

impl<S, K, B> Service<Request<B>> for DependencyClient<S, K>
where
    Stack<S, K>: Service<Request<ReplayBody>>,
    B: RequestBody,
{
    type Response = <Stack<S, K> as Service<Request<ReplayBody>>>::Response;
    type Error = <Stack<S, K> as Service<Request<ReplayBody>>>::Error;
    type Future = <Stack<S, K> as Service<Request<ReplayBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.stack.call(request.map(|body| ReplayBody::new(body, self.body_cap)))
    }
}
