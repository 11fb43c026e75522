//! `GET /metrics`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::Service;

use super::scrape::Scrape;
use super::text;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A tower service that answers `GET` with the metrics; returned by
/// [`Telemetry::prometheus_service`](crate::Telemetry::prometheus_service).
///
/// The answer is OpenMetrics text with exemplars if the `Accept` header prefers it, as that of Prometheus does. Otherwise it
/// is Prometheus text.
#[cfg_attr(docsrs, doc(cfg(all(feature = "http", feature = "prometheus"))))]
#[derive(Clone, Debug)]
pub struct PrometheusService {
    pub(in crate::telemetry) scrape: Option<Scrape>,
}

impl<B> Service<Request<B>> for PrometheusService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::default());
        if [Method::GET, Method::HEAD].contains(request.method()) {
            let scrape = self.scrape.as_ref();
            let (kind, body) = if prefers_openmetrics(request.headers()) {
                let empty = || text::END.to_owned();
                (OPENMETRICS, scrape.map_or_else(empty, Scrape::openmetrics))
            } else {
                (PROMETHEUS, scrape.map(Scrape::text).unwrap_or_default())
            };
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            *response.body_mut() = Full::from(body);
        } else {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        ready(Ok(response))
    }
}

/// Whether the `Accept` headers prefer OpenMetrics 1.0 to Prometheus text.
fn prefers_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    // Of two with the same weight, the first wins.
    let (mut best, mut openmetrics) = (0.0, false);
    for kind in accepted.flat_map(|value| value.split(',')) {
        let mut parts = kind.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let (mut version, mut weight) = (None, 1.0);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if key.trim().eq_ignore_ascii_case("version") {
                version = Some(value.trim().trim_matches('"'));
            } else if key.trim().eq_ignore_ascii_case("q") {
                weight = value.trim().parse().unwrap_or(0.0);
            }
        }
        let openmetrics_1 = name.eq_ignore_ascii_case("application/openmetrics-text")
            && matches!(version, None | Some("1.0.0"));
        let prometheus = ["text/plain", "text/*", "*/*"].iter().any(|it| name.eq_ignore_ascii_case(it))
            && matches!(version, None | Some("0.0.4"));
        if (openmetrics_1 || prometheus) && weight > best {
            (best, openmetrics) = (weight, openmetrics_1);
        }
    }
    openmetrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_the_accept_header_of_prometheus() {
        let prefers = |accepted: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accepted).unwrap());
            prefers_openmetrics(&headers)
        };
        for (accepted, openmetrics) in [
            // Prometheus 2.42, 3.0 and 2.20.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                true,
            ),
            ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
            ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0", false),
            ("text/plain;q=0.5, Application/OpenMetrics-Text; VERSION=\"1.0.0\"", true),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;version=2.0.0", false),
            ("application/json", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(prefers(accepted), openmetrics, "{accepted}");
        }
        assert!(!prefers_openmetrics(&HeaderMap::new()));
    }
}
