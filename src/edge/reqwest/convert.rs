//! Requests, responses and errors, from reqwest to the layers and back.

use std::mem;

use ::reqwest::{Body, Error, Request, Response, ResponseBuilderExt, Url};

use super::body::{Watch, outgoing, replayable};
use crate::base::redact::MARKER;
use crate::layers::replay::ReplayBody;

/// The request for the layers.
pub(super) fn to_http(request: Request) -> Result<http::Request<ReplayBody>, Error> {
    Ok(http::Request::<Body>::try_from(request)?.map(replayable))
}

/// The request for reqwest. Its body is watched if it may not be sent twice.
pub(super) fn to_reqwest(request: http::Request<ReplayBody>) -> Result<(Request, Option<Watch>), Error> {
    let watch = (!request.method().is_idempotent()).then(Watch::default);
    let request = Request::try_from(request.map(|body| outgoing(body, watch.as_ref())))?;
    Ok((request, watch))
}

/// The response for the layers. It keeps its URL for [`Response::from`].
pub(super) fn response_to_http(response: Response) -> http::Response<Body> {
    let mut with_url = http::response::Builder::new().url(response.url().clone());
    let mut response = http::Response::<Body>::from(response);
    if let Some(url) = with_url.extensions_mut() {
        response.extensions_mut().extend(mem::take(url));
    }
    response
}

/// An error with the URL of its request.
pub(super) trait HidesSecrets: Sized {
    /// The URL, if the error has one.
    fn url_mut(&mut self) -> Option<&mut Url>;

    /// Removes what may be secret from its URL: user, password, query and fragment. A marker replaces the query.
    fn without_secrets(mut self) -> Self {
        if let Some(url) = self.url_mut() {
            // Both fail only if the URL has no host, and then it has neither.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            if url.query().is_some() {
                url.set_query(Some(MARKER));
            }
            url.set_fragment(None);
        }
        self
    }
}

impl HidesSecrets for Error {
    fn url_mut(&mut self) -> Option<&mut Url> {
        Error::url_mut(self)
    }
}

#[cfg(feature = "reqwest-middleware")]
impl HidesSecrets for reqwest_middleware::Error {
    fn url_mut(&mut self) -> Option<&mut Url> {
        Self::url_mut(self)
    }
}
