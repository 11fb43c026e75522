//! When `Retry-After` sets the delay before another attempt. [`outcome::retry_after`] parses the header.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::base::outcome;

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
}
