//! What a collector answers, and whether a retry may help.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::base::outcome::retry_after;

/// How an export failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For logs: nothing of what the collector wrote, which may repeat a secret.
    pub(super) text: String,
    pub(super) again: Again,
}

/// Whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// After the delay of our own backoff, but not before this time is over.
    After(Duration),
}

/// What a collector rejected of an export.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) items: u64,
    pub(super) message: String,
}

/// Reads the answer over HTTP: "OTLP/HTTP Response" in the specification.
pub(super) fn of_http(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Result<Rejected, Failure> {
    if status.is_success() {
        return Ok(rejected(body));
    }
    let again = match status.as_u16() {
        429 | 502..=504 => Again::After(retry_after(headers).unwrap_or_default()),
        _ => Again::Never,
    };
    Err(Failure { text: format!("the collector answered {status}"), again })
}

/// The items that the answer says were rejected. An answer that cannot be decoded counts as success.
pub(super) fn rejected(body: &(impl AsRef<[u8]> + ?Sized)) -> Rejected {
    // The answers of the three signals differ in the names of these fields alone.
    let answer = ExportTraceServiceResponse::decode(body.as_ref()).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    let items = u64::try_from(partial.rejected_spans).unwrap_or_default();
    Rejected { items, message: partial.error_message }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn http(status: u16, pairs: &[(&'static str, &'static str)]) -> Result<Rejected, Failure> {
        let headers = pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect();
        of_http(StatusCode::from_u16(status).unwrap(), &headers, &Bytes::new())
    }

    #[test]
    fn http_codes_that_pass_by_are_tried_again() {
        for status in [429, 502, 503, 504] {
            assert_eq!(http(status, &[]).unwrap_err().again, Again::After(Duration::ZERO), "{status}");
            let waits = http(status, &[("retry-after", "7")]).unwrap_err().again;
            assert_eq!(waits, Again::After(Duration::from_secs(7)));
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert_eq!(http(status, &[("retry-after", "7")]).unwrap_err().again, Again::Never, "{status}");
        }
        let past = http(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]).unwrap_err();
        assert_eq!(past.again, Again::After(Duration::ZERO));
    }

    #[test]
    fn what_was_not_taken_is_told() {
        let message = b"\x0a\x06\x08\x03\x12\x02no";
        let partial = Rejected { items: 3, message: "no".to_owned() };
        let http = of_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(message));
        assert_eq!(http, Ok(partial));
        let nonsense = of_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(b"<html>"));
        assert_eq!(nonsense, Ok(Rejected::default()));
    }
}
