//! Which requests may be sent again, and when.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode, request};

#[cfg(feature = "grpc")]
use super::grpc::Codes;
use crate::error::{TimedOut, causes};
use crate::outcome::{self, Outcome};
use crate::retry::course::{Asked, Attempt};

/// What is spoken over HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Plain,
    /// With the codes of answers to calls that were not done.
    #[cfg(feature = "grpc")]
    Grpc(Codes),
}

/// What the head of a response says about another attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) outcome: Outcome,
    /// The server says that it did not do what the request asks for.
    pub(super) not_done: bool,
    /// It does not want the request again.
    pub(super) forbidden: bool,
    pub(super) asked: Option<Asked>,
}

impl Protocol {
    /// Reads a head that was classified as `outcome`.
    pub(super) fn read(self, head: &Parts, outcome: Outcome) -> Reading {
        match self {
            Self::Plain => {
                let failed = outcome.failure().is_some();
                let asked = if failed { retry_after(head.status, &head.headers) } else { None };
                Reading { outcome, not_done: false, forbidden: false, asked: asked.map(Asked::AtLeast) }
            }
            #[cfg(feature = "grpc")]
            Self::Grpc(codes) => super::grpc::read(codes, head, outcome),
        }
    }

    /// Tells the server that this is not the first attempt, where there is a way to.
    pub(super) fn mark(self, headers: &mut HeaderMap, attempt: Attempt) {
        match self {
            Self::Plain => _ = (headers, attempt),
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => super::grpc::mark(headers, attempt),
        }
    }

    /// The answer in place of one that did not come in time.
    pub(super) fn timed_out(self, why: &TimedOut) -> Response<()> {
        match self {
            Self::Plain => {
                // It stands among the extensions of the response.
                let _ = why;
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                response
            }
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => super::grpc::timed_out(why),
        }
    }
}

/// Whether sending the request twice does what sending it once does.
///
/// The methods are those that RFC 9110 (9.2.2) calls idempotent. A client that sends an `Idempotency-Key` says
/// that the server sees to it (draft-ietf-httpapi-idempotency-key-header).
pub(super) fn is_idempotent(head: &request::Parts) -> bool {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    METHODS.contains(&head.method) || head.headers.contains_key("idempotency-key")
}

/// Whether the request cannot have reached a server: there was no connection to send it on.
///
/// That is so where the name was not found, where the connection was refused, and where the handshake of TLS failed: all
/// of these are errors of the connector in the clients of hyper-util, and in what stands on them, such as reqwest and
/// tonic. Of any other client a refusal by the operating system tells it.
pub(super) fn never_sent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| {
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // The kernel has these two from `connect` only. An unreachable host may have been reached before.
        let refused = matches!(io, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable));
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        #[cfg(feature = "grpc")]
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        refused || client.is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// The wait that a response asks for by `Retry-After`, on 429 and 503 only, where it speaks of this request. On a redirect
/// it means something else.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => outcome::retry_after(headers),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn p10_retry_after_counts_on_429_and_503() {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, http::HeaderValue::from_static("7"))]);
        let wait = |code| retry_after(StatusCode::from_u16(code).unwrap(), &headers);
        assert_eq!(wait(429), Some(Duration::from_secs(7)));
        assert_eq!(wait(503), Some(Duration::from_secs(7)));
        assert_eq!(wait(500), None);
        assert_eq!(wait(301), None);
        assert_eq!(retry_after(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()), None);
    }

    #[test]
    fn p11_a_refused_connection_is_found_among_the_causes() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(never_sent(&refused()));
        assert!(never_sent(&crate::CallError::Inner(refused())));
        assert!(never_sent(&io::Error::other(refused())));
        assert!(!never_sent(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
