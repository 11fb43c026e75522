//! What a Prometheus scrape gets.

use std::fmt;

use opentelemetry_prometheus::PrometheusExporter;
use prometheus::proto::MetricType;
use prometheus::{Registry, TextEncoder};

use super::error::TelemetryError;

/// The metrics of a pipeline, read when someone asks.
#[derive(Clone)]
pub(super) struct Scrape {
    registry: Registry,
}

impl Scrape {
    pub(super) fn new() -> Result<(Self, PrometheusExporter), TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // There is one scope, and its labels would be on every series.
            .scope_info_enabled(false)
            .build()
            .map_err(|error| TelemetryError::Exporter {
                signal: "metrics",
                endpoint: "prometheus".to_owned(),
                reason: error.to_string(),
            })?;
        Ok((Self { registry }, exporter))
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut families = self.registry.gather();
        for family in &mut families {
            // Conventions have such names for plain numbers (`system.cpu.logical.count`), but to Prometheus they
            // are parts of a histogram.
            if family.get_field_type() == MetricType::GAUGE
                && let Some(name) = family.name().strip_suffix("_count").map(ToOwned::to_owned)
            {
                family.set_name(name);
            }
        }
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::warn!(%error, "cannot write all metrics for prometheus");
        }
        text
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

#[cfg(feature = "http")]
pub use service::PrometheusService;

#[cfg(feature = "http")]
mod service {
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::{HeaderValue, Method, Request, Response, StatusCode, header};
    use http_body_util::Full;
    use tower::Service;

    use super::Scrape;

    /// Answers `GET` with the metrics as Prometheus text. From
    /// [`Telemetry::prometheus_service`](crate::Telemetry::prometheus_service).
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
                let text = self.scrape.as_ref().map(Scrape::text).unwrap_or_default();
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                *response.body_mut() = Full::from(text);
            } else {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            ready(Ok(response))
        }
    }
}
