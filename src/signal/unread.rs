//! Responses whose status no classifier reads.
//!
//! The layers for any service take every `Ok` for a success. For `http::Response` that is wrong: a 503 is an `Ok` too. Their
//! type parameter has no `'static` bound, so the response cannot be downcast. Its type is found by name, which the compiler
//! decides: for every other type nothing is left of the check in an optimised build.

use std::any::type_name;

use super::names::LAYER_UNREAD_STATUS;
use super::source::Emit;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// A kind of handle, as the metric and the warning name it.
#[derive(Debug)]
pub(crate) struct HandleKind {
    /// The value of the attribute `layer`.
    pub(crate) layer: &'static str,
    /// The kind of handle in the warning.
    pub(crate) kind: &'static str,
    /// The layer that reads a status.
    pub(crate) http_layer: &'static str,
}

/// The method in which the response is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A layer with its default classifier.
    Layer,
    /// A method that runs a function, and the one with a classifier.
    Method { name: &'static str, with: &'static str },
}

/// The calls of one handle whose response has a status that its default classifier does not read.
#[derive(Debug, Default)]
pub(crate) struct UnreadStatus(AtomicU64);

impl UnreadStatus {
    /// Counts a call that answers with a `Res`, if that has a status. Logs the first one.
    #[inline(always)]
    pub(crate) fn see<Res>(&self, handle: &HandleKind, name: &str, place: Place) {
        if let Some(response) = Response::of::<Res>() {
            self.count(response, handle, name, place);
        }
    }

    #[cold]
    fn count(&self, response: Response, handle: &HandleKind, name: &str, place: Place) {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            let HandleKind { kind, http_layer, layer } = handle;
            let at = match place {
                Place::Layer => "layer",
                Place::Method { name, .. } => name,
            };
            let own = match place {
                Place::Layer => "classify",
                Place::Method { with, .. } => with,
            };
            let (what, loss) = (response.name(), response.loss());
            let cure = response.cure(http_layer);
            tracing::warn!(
                target: "campanile::layers",
                layer,
                name,
                "{kind} `{name}` sees `{what}` in `.{at}()`: {loss}; use {cure}, or `.{own}(..)` with a classifier of your own"
            );
        }
    }

    #[cfg(test)]
    fn calls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Emits the number of calls, once there was one.
    #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
    pub(crate) fn emit(&self, handle: &HandleKind, name: &str, emit: &mut Emit<'_>) {
        let calls = self.0.load(Ordering::Relaxed);
        if calls > 0 {
            emit(&LAYER_UNREAD_STATUS, calls as f64, &[("layer", handle.layer), ("name", name)]);
        }
    }
}

/// A type of response that may tell of a failure although it is `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    Http,
    Reqwest,
    /// The stream of a gRPC client. Without a stream, a failed call of such a client is an `Err`.
    GrpcStream,
}

impl Response {
    #[inline(always)]
    fn of<Res>() -> Option<Self> {
        let name = type_name::<Res>();
        if name.starts_with("http::response::Response<") {
            Some(Self::Http)
        } else if name.starts_with("reqwest::") && name.ends_with("::response::Response") {
            Some(Self::Reqwest)
        } else if name.starts_with("tonic::response::Response<tonic::codec::decode::Streaming<") {
            Some(Self::GrpcStream)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http::Response",
            Self::Reqwest => "reqwest::Response",
            Self::GrpcStream => "tonic::Response<Streaming<_>>",
        }
    }

    fn loss(self) -> &'static str {
        match self {
            Self::Http | Self::Reqwest => "a 503 counts as success",
            Self::GrpcStream => "a stream that fails counts as success",
        }
    }

    fn cure(self, http_layer: &str) -> String {
        match self {
            Self::Http => http_layer.to_owned(),
            Self::Reqwest => "the client of `campanile::reqwest`".to_owned(),
            Self::GrpcStream => "a layer for gRPC around the channel of the client".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_responses_with_a_status_are_found() {
        assert_eq!(Response::of::<()>(), None);
        assert_eq!(Response::of::<Result<String, std::io::Error>>(), None);
        #[cfg(feature = "http")]
        {
            assert_eq!(Response::of::<http::Response<&str>>(), Some(Response::Http));
            assert_eq!(Response::of::<http::response::Parts>(), None);
        }
        #[cfg(feature = "grpc")]
        {
            let stream = Response::of::<tonic::Response<tonic::Streaming<()>>>();
            assert_eq!(stream, Some(Response::GrpcStream));
            assert_eq!(Response::of::<tonic::Response<()>>(), None, "its failures are errors");
        }
        #[cfg(feature = "reqwest")]
        assert_eq!(Response::of::<reqwest::Response>(), Some(Response::Reqwest));
    }

    #[test]
    #[cfg(feature = "http")]
    fn calls_are_counted_and_emitted_once_there_was_one() {
        const KIND: HandleKind =
            HandleKind { layer: "breaker", kind: "circuit breaker", http_layer: "`.http_layer()`" };
        let unread = UnreadStatus::default();
        let emitted = |unread: &UnreadStatus| {
            let mut values = Vec::new();
            unread.emit(&KIND, "db", &mut |_, value, _| values.push(value));
            values
        };
        unread.see::<String>(&KIND, "db", Place::Layer);
        assert!(emitted(&unread).is_empty());
        unread.see::<http::Response<()>>(&KIND, "db", Place::Layer);
        unread.see::<http::Response<()>>(&KIND, "db", Place::Layer);
        assert_eq!((unread.calls(), emitted(&unread)), (2, vec![2.0]));
    }
}
