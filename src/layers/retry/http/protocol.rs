//! The differences between plain HTTP and gRPC.

use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};

use super::advice::Advice;
#[cfg(feature = "grpc")]
use super::grpc::Codes;
use super::retry_after_status::retry_after;
use crate::base::error::TimedOut;
use crate::base::outcome::Outcome;
use crate::layers::retry::attempt::Attempt;
use crate::layers::retry::attempt_result::ServerDelay;

/// The protocol of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Http,
    /// gRPC, with the codes of calls that were not processed.
    #[cfg(feature = "grpc")]
    Grpc(Codes),
}

impl Protocol {
    /// Reads a head that was classified as `outcome`.
    pub(super) fn read(self, head: &Parts, outcome: Outcome) -> Advice {
        match self {
            Self::Http => {
                let failed = outcome.failure().is_some();
                let server_delay = if failed { retry_after(head.status, &head.headers) } else { None };
                Advice {
                    outcome,
                    not_processed: false,
                    forbidden: false,
                    server_delay: server_delay.map(ServerDelay::AtLeast),
                }
            }
            #[cfg(feature = "grpc")]
            Self::Grpc(codes) => super::grpc::read(codes, head, outcome),
        }
    }

    /// Adds the number of earlier attempts to the request, if the protocol has a header for it.
    pub(super) fn mark(self, headers: &mut HeaderMap, attempt: Attempt) {
        match self {
            Self::Http => _ = (headers, attempt),
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => super::grpc::mark(headers, attempt),
        }
    }

    /// The response to a call that timed out.
    pub(super) fn timed_out(self, why: &TimedOut) -> Response<()> {
        match self {
            Self::Http => {
                // The caller finds it in the extensions of the response.
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
