//! A response that was kept, and the stale response that is made of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

/// Headers of one connection, which are not kept: RFC 9110, section 7.6.1.
const OF_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A response that was kept.
pub struct StoredResponse {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    /// The `Age` that the response came with.
    age: Duration,
    /// The headers that `Vary` names, and their values in the request.
    vary: Vec<(HeaderName, Vec<HeaderValue>)>,
}

impl StoredResponse {
    /// A response without its body.
    pub(super) fn new(head: &Parts, vary: Vec<HeaderName>, request: &HeaderMap) -> Self {
        let mut headers = head.headers.clone();
        for value in head.headers.get_all(header::CONNECTION) {
            for name in value.to_str().unwrap_or_default().split(',') {
                headers.remove(name.trim());
            }
        }
        OF_CONNECTION.into_iter().for_each(|name| drop(headers.remove(name)));
        let age = headers.remove(header::AGE);
        let seconds = age.and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        let values = |name: &HeaderName| request.get_all(name).iter().cloned().collect();
        let vary = vary.into_iter().map(|name| (name.clone(), values(&name))).collect();
        Self {
            status: head.status,
            version: head.version,
            headers,
            body: Bytes::new(),
            age: Duration::from_secs(seconds),
            vary,
        }
    }

    pub(super) fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    /// The `Content-Length`, if there is one.
    pub(super) fn announced_length(&self) -> Option<usize> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
    }

    /// The size in bytes, of head and body.
    pub(super) fn size(&self) -> usize {
        let of_headers = |headers: &HeaderMap| {
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>()
        };
        let vary = self
            .vary
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| name.as_str().len() + value.len() + 64));
        size_of::<Self>() + of_headers(&self.headers) + self.body.len() + vary.sum::<usize>()
    }

    /// The response of this age, with headers that say that it is stale; `None` if a header that `Vary` names has another value.
    pub(super) fn answer(&self, request: &HeaderMap, age: Duration) -> Option<Response<Bytes>> {
        if !self.vary.iter().all(|(name, values)| request.get_all(name).iter().eq(values)) {
            return None;
        }
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.version_mut() = self.version;
        let headers = response.headers_mut();
        *headers = self.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(self.age.saturating_add(age).as_secs()));
        headers.append(header::WARNING, HeaderValue::from_static("110 - \"Response is Stale\""));
        Some(response)
    }
}

impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body may hold secrets.
        f.debug_struct("StoredResponse").field("status", &self.status).finish_non_exhaustive()
    }
}
