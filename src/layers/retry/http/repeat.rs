//! Which requests may be sent again, and when.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode, request};

#[cfg(feature = "grpc")]
use super::grpc::Codes;
use crate::base::error::{TimedOut, causes};
use crate::base::outcome::{self, Outcome};
use crate::layers::retry::call_state::{Asked, Attempt};

/// The protocol over HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Plain,
    /// With the codes of calls that were not processed.
    #[cfg(feature = "grpc")]
    Grpc(Codes),
}

/// What the head of a response says about another attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) outcome: Outcome,
    /// The server says that it did not process the request.
    pub(super) not_done: bool,
    /// The server forbids another attempt.
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

    /// Tells the server the number of earlier attempts, if the protocol can.
    pub(super) fn mark(self, headers: &mut HeaderMap, attempt: Attempt) {
        match self {
            Self::Plain => _ = (headers, attempt),
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => super::grpc::mark(headers, attempt),
        }
    }

    /// The response to a call that ran out of time.
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

/// Whether the request is idempotent.
///
/// By its method (RFC 9110, 9.2.2), or by an `Idempotency-Key`, with which the server makes it so
/// (draft-ietf-httpapi-idempotency-key-header).
pub(super) fn is_idempotent(head: &request::Parts) -> bool {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    METHODS.contains(&head.method) || head.headers.contains_key("idempotency-key")
}

/// Whether the request cannot have reached a server: there was no connection to send it on.
///
/// True if the name was not found, the connection was refused, or the TLS handshake failed. These are errors of the
/// connector in hyper-util's clients, and in reqwest and tonic, which use them. For other clients, the operating system's
/// error of a refused connection tells.
pub(super) fn never_sent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| {
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // The kernel returns these two from `connect` only. An unreachable host may have been reached before.
        let refused = matches!(io, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable));
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        #[cfg(feature = "grpc")]
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        refused || client.is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// The delay in `Retry-After` of a 429 or 503. On a redirect it has another meaning.
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
