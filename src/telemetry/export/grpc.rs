//! The parts that gRPC adds to HTTP: a frame around the message, and a status in the trailers.
//!
//! The message in the frame is the one that the HTTP exporter of opentelemetry-otlp encoded and compressed. Its gRPC
//! exporter (0.33.1) is not used, for three reasons:
//!
//! - It logs a partial success and returns `Ok(())` (`exporter/tonic/trace.rs`), so rejected items cannot be counted. The
//!   answer cannot be read before it either: an interceptor sees requests only, and `with_channel` takes
//!   `tonic::transport::Channel` and no other service.
//! - It sleeps between retries (`retry.rs`), and a shutdown cannot end the sleep. With its retries off, its error is a text
//!   with the code, so the delay that a collector asks for in `RetryInfo` is lost.
//! - tonic 0.14.9 panics on a `grpc-status-details-bin` that is not base64 (`expect` in `Status::from_header_map`). A
//!   collector, or a proxy that answers for it, must not be able to cause a panic. This also rules out tonic without its
//!   transport.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use http::{HeaderMap, StatusCode};
use prost::Message;

use super::answer::{Failure, Rejected, Retry, read_http, rejected};
use crate::base::outcome::GRPC_CODES;
use crate::telemetry::counters::Signal;

/// The path of the method that exports `signal`.
pub(super) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The body of a call. Sets the headers that gRPC requires, over those of the user.
pub(super) fn frame(headers: &mut HeaderMap, message: &Bytes, gzip: bool) -> Bytes {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if gzip {
        headers.insert(HeaderName::from_static("grpc-encoding"), HeaderValue::from_static("gzip"));
    }
    // "Length-Prefixed-Message" in the protocol of gRPC.
    let mut body = BytesMut::with_capacity(5 + message.len());
    body.put_u8(gzip.into());
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(message);
    body.freeze()
}

/// Sets `grpc-timeout` to the time that is left for the answer.
pub(super) fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    // gRPC allows at most 8 digits.
    let left = format!("{}m", left.as_millis().min(99_999_999));
    if let Ok(left) = HeaderValue::from_str(&left) {
        headers.insert(HeaderName::from_static("grpc-timeout"), left);
    }
}

/// Reads an answer over gRPC. See "Failures" under "OTLP/gRPC" in the specification.
pub(super) fn read_grpc(
    status: StatusCode,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
    body: &Bytes,
) -> Result<Rejected, Failure> {
    // An answer without a body has its trailers among its headers.
    let trailers = trailers.filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(headers);
    let code = trailers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<usize>().ok());
    let Some(code) = code else {
        // A proxy answered in place of the collector.
        return match read_http(status, headers, &Bytes::new()) {
            Ok(_) => Err(Failure { text: "the answer is not gRPC".to_owned(), retry: Retry::Never }),
            failure => failure,
        };
    };
    if code == 0 {
        // The request offered no compression, so the answer is a frame (5 bytes) and the plain message.
        return Ok(body.get(5..).map(rejected).unwrap_or_default());
    }
    let asked = trailers.get("grpc-status-details-bin").and_then(|details| retry_info(details.as_bytes()));
    let retry = match code {
        // RESOURCE_EXHAUSTED is permanent, unless the collector says when to retry.
        8 => asked.map_or(Retry::Never, Retry::After),
        1 | 4 | 10 | 11 | 14 | 15 => Retry::After(asked.unwrap_or_default()),
        _ => Retry::Never,
    };
    let name = GRPC_CODES.get(code).copied().unwrap_or("an unknown code");
    Err(Failure { text: format!("the collector answered with gRPC status {code}, {name}"), retry })
}

/// gRPC allows base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The delay of the `google.rpc.RetryInfo` among the details of a status.
fn retry_info(base64: &[u8]) -> Option<Duration> {
    let status = Status::decode(&BASE64.decode(base64).ok()?[..]).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("google.rpc.RetryInfo"))?;
    let Delay { seconds, nanos } = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?))
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<const N: usize>(pairs: [(&'static str, &'static str); N]) -> HeaderMap {
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn grpc<const N: usize>(trailers: [(&'static str, &'static str); N]) -> Result<Rejected, Failure> {
        read_grpc(StatusCode::OK, &HeaderMap::new(), Some(&headers(trailers)), &Bytes::new())
    }

    #[test]
    fn transient_grpc_codes_are_retried() {
        for code in ["1", "4", "10", "11", "14", "15"] {
            assert_eq!(
                grpc([("grpc-status", code)]).unwrap_err().retry,
                Retry::After(Duration::ZERO),
                "{code}"
            );
        }
        for code in ["2", "3", "5", "6", "7", "8", "9", "12", "13", "16", "99"] {
            assert_eq!(grpc([("grpc-status", code)]).unwrap_err().retry, Retry::Never, "{code}");
        }
        let in_headers = read_grpc(StatusCode::OK, &headers([("grpc-status", "14")]), None, &Bytes::new());
        assert!(in_headers.unwrap_err().text.contains("UNAVAILABLE"));
        let proxy = read_grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), None, &Bytes::new());
        assert_eq!(proxy.unwrap_err().retry, Retry::After(Duration::ZERO));
        let page = read_grpc(StatusCode::OK, &HeaderMap::new(), None, &Bytes::from_static(b"<html>"));
        assert_eq!(page.unwrap_err().retry, Retry::Never);
    }

    #[test]
    fn resource_exhausted_is_retried_only_with_retry_info() {
        // Status { code: 8, details: [RetryInfo { retry_delay: 1.5 s }] }.
        let details = "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIARCAyrXuAQ";
        let failure = grpc([("grpc-status", "8"), ("grpc-status-details-bin", details)]).unwrap_err();
        assert_eq!(failure.retry, Retry::After(Duration::from_millis(1_500)));
        for broken in ["", "?", "CAgaNg", "AAAA"] {
            let failure = grpc([("grpc-status", "8"), ("grpc-status-details-bin", broken)]).unwrap_err();
            assert_eq!(failure.retry, Retry::Never, "{broken}");
        }
    }

    #[test]
    fn rejected_items_are_read_from_the_answer() {
        let message = b"\x0a\x06\x08\x03\x12\x02no";
        let framed = Bytes::from([&b"\0\0\0\0\x08"[..], message].concat());
        let grpc = read_grpc(StatusCode::OK, &headers([("grpc-status", "0")]), None, &framed).unwrap();
        assert_eq!(grpc.items, 3);
    }

    #[test]
    fn a_frame_holds_its_length_and_whether_it_is_compressed() {
        let mut headers = headers([("te", "no")]);
        assert_eq!(&frame(&mut headers, &Bytes::from_static(b"abc"), false)[..], b"\0\0\0\0\x03abc");
        assert_eq!(headers["te"], "trailers");
        assert!(!headers.contains_key("grpc-encoding"));
        let framed = frame(&mut headers, &[7; 1_000][..].into(), true);
        assert_eq!(framed[0], 1);
        assert_eq!(framed[1..5], u32::try_from(framed.len() - 5).unwrap().to_be_bytes());
        assert_eq!(headers["grpc-encoding"], "gzip");
    }
}
