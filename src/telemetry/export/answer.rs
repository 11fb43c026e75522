//! The answer of a collector: rejected items, or a failure that may be retried.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::base::outcome::retry_after;

/// How an export failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For logs. It quotes nothing that the collector wrote, which may repeat a secret.
    pub(super) text: String,
    pub(super) retry: Retry,
}

/// Whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// After our own backoff, and no sooner than this delay.
    After(Duration),
}

/// The items of an export that a collector rejected, and the collector's message about them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) items: u64,
    pub(super) message: String,
}

/// Reads an answer over HTTP. See "OTLP/HTTP Response" in the specification.
pub(super) fn read_http(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Result<Rejected, Failure> {
    if status.is_success() {
        return Ok(rejected(body));
    }
    let retry = match status.as_u16() {
        429 | 502..=504 => Retry::After(retry_after(headers).unwrap_or_default()),
        _ => Retry::Never,
    };
    Err(Failure { text: format!("the collector answered with HTTP status {status}"), retry })
}

/// The items that the answer reports as rejected. An answer that cannot be decoded counts as success.
pub(super) fn rejected(body: &(impl AsRef<[u8]> + ?Sized)) -> Rejected {
    // The answers of the three signals have the same fields under different names.
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
        read_http(StatusCode::from_u16(status).unwrap(), &headers, &Bytes::new())
    }

    #[test]
    fn transient_http_statuses_are_retried() {
        for status in [429, 502, 503, 504] {
            assert_eq!(http(status, &[]).unwrap_err().retry, Retry::After(Duration::ZERO), "{status}");
            let delayed = http(status, &[("retry-after", "7")]).unwrap_err().retry;
            assert_eq!(delayed, Retry::After(Duration::from_secs(7)));
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert_eq!(http(status, &[("retry-after", "7")]).unwrap_err().retry, Retry::Never, "{status}");
        }
        let past = http(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]).unwrap_err();
        assert_eq!(past.retry, Retry::After(Duration::ZERO));
    }

    #[test]
    fn rejected_items_are_read_from_the_answer() {
        let message = b"\x0a\x06\x08\x03\x12\x02no";
        let partial = Rejected { items: 3, message: "no".to_owned() };
        let http = read_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(message));
        assert_eq!(http, Ok(partial));
        let nonsense = read_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(b"<html>"));
        assert_eq!(nonsense, Ok(Rejected::default()));
    }
}
