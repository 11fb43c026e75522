//! What a call through the layers came to.

use ::reqwest::Body;
use tower::BoxError;

use crate::base::error::{CallError, Rejected, SendError, TimedOut};

/// The response or error as callers get it. A refusal and a timeout of a layer, which are responses there, become errors.
pub(super) fn result_of<B, E>(
    result: Result<http::Response<B>, SendError<E>>,
) -> Result<http::Response<Body>, CallError<E>>
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let mut response = result.map_err(|error| CallError::Inner(error.error))?;
    if let Some(rejected) = response.extensions_mut().remove::<Rejected>() {
        return Err(CallError::Rejected(rejected));
    }
    if let Some(timed_out) = response.extensions_mut().remove::<TimedOut>() {
        return Err(CallError::TimedOut(timed_out));
    }
    Ok(response.map(Body::wrap))
}
