//! Which requests may be sent again: idempotent ones, and those that never reached a server. A `POST` is not idempotent.

use std::error::Error;
use std::io;

use http::{Method, request};

use crate::base::error::causes;

/// Whether the request is idempotent: by its method (RFC 9110, 9.2.2), or because it has an `Idempotency-Key`, with which
/// the server recognises a repeated request (draft-ietf-httpapi-idempotency-key-header).
pub(super) fn is_idempotent(head: &request::Parts) -> bool {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    METHODS.contains(&head.method) || head.headers.contains_key("idempotency-key")
}

/// Whether the request cannot have reached a server: there was no connection to send it on.
///
/// True if the name was not found, the connection was refused, or the TLS handshake failed. Clients of hyper-util report
/// these as errors of the connector, and so do reqwest and tonic, which use them. With other clients, only the operating
/// system's error of a refused connection counts. A connection that fails after a redirect does not count.
pub(super) fn never_sent(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "reqwest")]
    if crate::base::error::was_redirected(error) {
        return false;
    }
    causes(error).any(|error| {
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // The kernel returns these two from `connect` only. It returns "host unreachable" for open connections too.
        let refused = matches!(io, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable));
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        #[cfg(feature = "grpc")]
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        refused || client.is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_a_refused_connection_is_found_among_the_causes() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(never_sent(&refused()));
        assert!(never_sent(&crate::CallError::Inner(refused())));
        assert!(never_sent(&io::Error::other(refused())));
        assert!(!never_sent(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
