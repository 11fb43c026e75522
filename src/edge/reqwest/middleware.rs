//! The layers as a middleware of `reqwest-middleware`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::reqwest::{Body, Request, Response};
use http::Extensions;
use reqwest_middleware::{Error, Middleware, Next, Result};
use tower::{Service, ServiceExt};

use super::client::HttpClient;
use super::convert::{HidesSecrets, to_http};
use super::ending::result_of;
use super::send::Sending;
use crate::base::error::{CallError, SendError};
use crate::layers::replay::ReplayBody;

/// The layers around the middlewares that come after it, and around the client of the `ClientWithMiddleware`. Its own client
/// sends nothing.
///
/// An error of a layer is an `Error::Middleware`: [`Rejected::find`](crate::Rejected::find) finds a refusal. Each attempt gets
/// the extensions of the call; those of the last one return to the caller if there is a response.
///
/// # Example
/// ```
/// use campanile::reqwest::HttpClient;
/// use reqwest_middleware::ClientBuilder;
///
/// let http = reqwest::Client::new();
/// let client = ClientBuilder::new(http.clone()).with(HttpClient::new("payments", http)?).build();
/// # let _ = client;
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-middleware")))]
#[async_trait::async_trait]
impl Middleware for HttpClient {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let request = to_http(request).map_err(|error| Error::Reqwest(error.without_secrets()))?;
        let attempts = Attempts { next, extensions: extensions.clone() };
        let result = result_of(self.layers().around(attempts).oneshot(request).await);
        let mut response = result.map_err(to_error)?;
        if let Some(Returned(returned)) = response.extensions_mut().remove() {
            *extensions = returned;
        }
        Ok(response.into())
    }
}

/// The error as the caller gets it.
fn to_error(error: CallError<Error>) -> Error {
    match error {
        CallError::Inner(error) => error,
        // `Error` has the source of the error in it, and not that error. So a bare `Rejected` could not be found.
        refused => Error::middleware(refused),
    }
}

/// The extensions of a call after an attempt.
#[derive(Clone)]
struct Returned(Extensions);

/// Sends each attempt through the rest of the middlewares.
#[derive(Clone)]
struct Attempts<'a> {
    next: Next<'a>,
    extensions: Extensions,
}

impl<'a> Service<http::Request<ReplayBody>> for Attempts<'a> {
    type Response = http::Response<Body>;
    type Error = SendError<Error>;
    type Future = Sending<Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<ReplayBody>) -> Self::Future {
        let Self { next, mut extensions } = self.clone();
        Sending::new(request, |request| -> Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>> {
            Box::pin(async move {
                let mut response = next.run(request, &mut extensions).await?;
                response.extensions_mut().insert(Returned(extensions));
                Ok(response)
            })
        })
    }
}
