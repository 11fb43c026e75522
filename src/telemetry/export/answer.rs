//! What a collector answers, and whether it is worth another try.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use prost::Message;

use crate::outcome::GRPC_CODES;

/// How an export failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For logs: nothing of what the collector wrote, which may repeat a secret.
    pub(super) text: String,
    pub(super) again: Again,
}

/// Whether the same may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// After a delay of our own choice, but not before this time is over.
    After(Duration),
}

/// What a collector took only a part of.
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

/// Reads the answer over gRPC: "Failures" under "OTLP/gRPC" in the specification.
pub(super) fn of_grpc(
    status: StatusCode,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
    body: &Bytes,
) -> Result<Rejected, Failure> {
    // An answer without a body has its trailers in the head.
    let at_the_end = trailers.filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(headers);
    let code = at_the_end.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<usize>().ok());
    let Some(code) = code else {
        // Something on the way answered in place of the collector.
        return match of_http(status, headers, &Bytes::new()) {
            Ok(_) => Err(Failure { text: "the answer is none of gRPC".to_owned(), again: Again::Never }),
            failure => failure,
        };
    };
    if code == 0 {
        // No compression was offered, so there is nothing but the frame around it.
        return Ok(body.get(5..).map(rejected).unwrap_or_default());
    }
    let asked = at_the_end.get("grpc-status-details-bin").and_then(|details| retry_info(details.as_bytes()));
    let again = match code {
        // Exhausted for good, unless it says when it will be over.
        8 => asked.map_or(Again::Never, Again::After),
        1 | 4 | 10 | 11 | 14 | 15 => Again::After(asked.unwrap_or_default()),
        _ => Again::Never,
    };
    let name = GRPC_CODES.get(code).copied().unwrap_or("a code that gRPC does not have");
    Err(Failure { text: format!("the collector answered with gRPC status {code}, {name}"), again })
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The delay of the `google.rpc.RetryInfo` among the details of a status.
fn retry_info(base64: &[u8]) -> Option<Duration> {
    let status = Status::decode(&unbase64(base64)?[..]).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("google.rpc.RetryInfo"))?;
    let Delay { seconds, nanos } = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?))
}

/// The bytes of a text in base64, with or without padding; `None` for other text.
fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut filled) = (Vec::with_capacity(text.len()), 0_u32, 0_u32);
    for letter in text.trim_ascii_end().iter().filter(|letter| **letter != b'=') {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from(bits >> filled & 0xFF).unwrap_or_default());
        }
    }
    Some(bytes)
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

/// The answer of every signal: they differ in the names of these fields alone.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// What the answer says it did not take. An answer that cannot be read is still one that says all is well.
fn rejected(body: &(impl AsRef<[u8]> + ?Sized)) -> Rejected {
    let partial = Response::decode(body.as_ref()).ok().and_then(|response| response.partial_success);
    let PartialSuccess { rejected, error_message } = partial.unwrap_or_default();
    Rejected { items: u64::try_from(rejected).unwrap_or_default(), message: error_message }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers<const N: usize>(pairs: [(&'static str, &'static str); N]) -> HeaderMap {
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn http(status: u16, pairs: &[(&'static str, &'static str)]) -> Result<Rejected, Failure> {
        let headers = pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect();
        of_http(StatusCode::from_u16(status).unwrap(), &headers, &Bytes::new())
    }

    fn grpc<const N: usize>(trailers: [(&'static str, &'static str); N]) -> Result<Rejected, Failure> {
        of_grpc(StatusCode::OK, &HeaderMap::new(), Some(&headers(trailers)), &Bytes::new())
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
    fn grpc_codes_that_pass_by_are_tried_again() {
        for code in ["1", "4", "10", "11", "14", "15"] {
            assert_eq!(
                grpc([("grpc-status", code)]).unwrap_err().again,
                Again::After(Duration::ZERO),
                "{code}"
            );
        }
        for code in ["2", "3", "5", "6", "7", "8", "9", "12", "13", "16", "99"] {
            assert_eq!(grpc([("grpc-status", code)]).unwrap_err().again, Again::Never, "{code}");
        }
        let in_the_head = of_grpc(StatusCode::OK, &headers([("grpc-status", "14")]), None, &Bytes::new());
        assert!(in_the_head.unwrap_err().text.contains("UNAVAILABLE"));
        let proxy = of_grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), None, &Bytes::new());
        assert_eq!(proxy.unwrap_err().again, Again::After(Duration::ZERO));
        let page = of_grpc(StatusCode::OK, &HeaderMap::new(), None, &Bytes::from_static(b"<html>"));
        assert_eq!(page.unwrap_err().again, Again::Never);
    }

    #[test]
    fn exhausted_is_tried_again_when_it_says_when() {
        // Status { code: 8, details: [RetryInfo { retry_delay: 1.5 s }] }.
        let details = "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIARCAyrXuAQ";
        let failure = grpc([("grpc-status", "8"), ("grpc-status-details-bin", details)]).unwrap_err();
        assert_eq!(failure.again, Again::After(Duration::from_millis(1_500)));
        for broken in ["", "?", "CAgaNg", "AAAA"] {
            let failure = grpc([("grpc-status", "8"), ("grpc-status-details-bin", broken)]).unwrap_err();
            assert_eq!(failure.again, Again::Never, "{broken}");
        }
    }

    #[test]
    fn what_was_not_taken_is_told() {
        let message = b"\x0a\x06\x08\x03\x12\x02no";
        let partial = Rejected { items: 3, message: "no".to_owned() };
        let http = of_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(message));
        assert_eq!(http, Ok(partial));
        let framed = Bytes::from([&b"\0\0\0\0\x08"[..], message].concat());
        let grpc = of_grpc(StatusCode::OK, &headers([("grpc-status", "0")]), None, &framed).unwrap();
        assert_eq!(grpc.items, 3);
        let nonsense = of_http(StatusCode::OK, &HeaderMap::new(), &Bytes::from_static(b"<html>"));
        assert_eq!(nonsense, Ok(Rejected::default()));
    }
}
