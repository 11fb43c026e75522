//! The probes as a tower service.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tower::Service;

use super::readiness::Missing;
use crate::health::handle::Health;
use crate::health::reason::Reason;
use crate::health::snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
use crate::health::status::Status;

const JSON: HeaderValue = HeaderValue::from_static("application/health+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const GET_AND_HEAD: HeaderValue = HeaderValue::from_static("GET, HEAD");
const PASS: &[u8] = br#"{"status":"pass"}"#;

/// Answers `/livez`, `/readyz` and `/healthz`; made by [`Health::http_service`].
#[derive(Clone, Debug)]
pub struct HealthService {
    health: Health,
}

impl Health {
    /// The probes: a service that axum and hyper take as it is.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/livez` | 200 as long as the process answers at all; asks nobody |
    /// | `/readyz` | 503 while a critical component fails, which it names, or the process is draining; else 200 |
    /// | `/healthz` | 503 when the overall status is `Unhealthy` or `Critical`, else 200; with `?verbose` each component with its reasons |
    ///
    /// Bodies are JSON, with the fields of `application/health+json` (draft-inadarei-api-health-check) where
    /// they fit. Anything but GET and HEAD is 405, any other path 404. Answers come from a snapshot at most
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for) old, so a flood costs little.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    ///
    /// let health = Health::standalone();
    /// let app: axum::Router = axum::Router::new()
    ///     .route("/", axum::routing::get(|| async { "hello" }))
    ///     .fallback_service(health.http_service());
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    #[must_use]
    pub fn http_service(&self) -> HealthService {
        HealthService { health: self.clone() }
    }
}

impl<B> Service<Request<B>> for HealthService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri())))
    }
}

impl HealthService {
    fn answer(&self, method: &Method, uri: &http::Uri) -> Response<Full<Bytes>> {
        let probe = match uri.path() {
            "/livez" => Self::live,
            "/readyz" => Self::ready,
            "/healthz" => Self::health,
            _ => return answer(
                StatusCode::NOT_FOUND,
                Bytes::from_static(
                    br#"{"status":"fail","output":"no such probe; there are /livez, /readyz and /healthz"}"#,
                ),
            ),
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = answer(
                StatusCode::METHOD_NOT_ALLOWED,
                Bytes::from_static(br#"{"status":"fail","output":"a probe takes GET and HEAD"}"#),
            );
            response.headers_mut().insert(ALLOW, GET_AND_HEAD);
            return response;
        }
        let mut response = probe(self, is_verbose(uri));
        if method == Method::HEAD {
            *response.body_mut() = Full::default();
        }
        response
    }

    #[allow(clippy::unused_self)] // Has the shape of the other probes, and depends on nothing.
    fn live(&self, _: bool) -> Response<Full<Bytes>> {
        answer(StatusCode::OK, Bytes::from_static(PASS))
    }

    fn ready(&self, _: bool) -> Response<Full<Bytes>> {
        let readiness = self.health.readiness();
        if readiness.ready {
            return answer(StatusCode::OK, Bytes::from_static(PASS));
        }
        let mut output: Vec<String> = Vec::new();
        if readiness.draining {
            output.push("the process is shutting down".to_owned());
        }
        output.extend(readiness.missing.iter().map(say));
        let report = ReadyReport {
            status: "fail",
            output: output.join("; "),
            draining: readiness.draining,
            missing: &readiness.missing,
        };
        json(StatusCode::SERVICE_UNAVAILABLE, &report)
    }

    fn health(&self, verbose: bool) -> Response<Full<Bytes>> {
        let snapshot = self.health.recent();
        let code =
            if snapshot.status.is_failing() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        json(code, &HealthReport::new(&snapshot, verbose))
    }
}

fn is_verbose(uri: &http::Uri) -> bool {
    uri.query().into_iter().flat_map(|query| query.split('&')).any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        key == "verbose" && !matches!(value, "0" | "false")
    })
}

fn say(missing: &Missing) -> String {
    let mut text = format!("`{}` is {}", missing.component, missing.status);
    if let Some(reason) = missing.reasons.first() {
        text = format!("{text}: {reason}");
    }
    if !missing.because_of.is_empty() {
        text = format!("{text} (because of `{}`)", missing.because_of.join("`, `"));
    }
    text
}

// ===== what is written =====

#[derive(Serialize)]
struct ReadyReport<'a> {
    status: &'static str,
    output: String,
    draining: bool,
    missing: &'a [Missing],
}

#[derive(Serialize)]
struct HealthReport<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    health: Status,
    score: f64,
    #[serde(skip_serializing_if = "<[Loss]>::is_empty")]
    losses: &'a [Loss],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<String, [Check<'a>; 1]>,
}

/// One component, in the shape of the draft and with all that we know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    component_id: &'a str,
    component_type: &'static str,
    status: &'static str,
    observed_value: f64,
    observed_unit: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    health: Status,
    critical: bool,
    optional: bool,
    reasons: &'a [Reason],
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    depends_on: &'a [Arc<str>],
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    because_of: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: &'a Option<Calls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letters: Option<u64>,
}

impl<'a> HealthReport<'a> {
    fn new(snapshot: &'a HealthSnapshot, verbose: bool) -> Self {
        let bad: Vec<String> = snapshot
            .components
            .iter()
            .filter(|component| component.status >= Status::Degraded)
            .map(|component| format!("`{}` is {}", component.name, component.status))
            .collect();
        let components = if verbose { snapshot.components.as_slice() } else { &[] };
        Self {
            status: word(snapshot.status),
            output: bad.join("; "),
            health: snapshot.status,
            score: snapshot.score,
            losses: if verbose { &snapshot.losses } else { &[] },
            checks: components
                .iter()
                .map(|component| (format!("{}:score", component.name), [Check::new(component)]))
                .collect(),
        }
    }
}

impl<'a> Check<'a> {
    fn new(component: &'a ComponentHealth) -> Self {
        let reasons: Vec<&str> = component.reasons.iter().map(|reason| reason.text.as_str()).collect();
        Self {
            component_id: &component.name,
            component_type: "component",
            status: word(component.status),
            observed_value: component.score,
            observed_unit: "score",
            output: reasons.join("; "),
            health: component.status,
            critical: component.critical,
            optional: component.optional,
            reasons: &component.reasons,
            depends_on: &component.depends_on,
            because_of: &component.because_of,
            calls: &component.calls,
            letters: component.letters,
        }
    }
}

/// The draft's word for a status.
fn word(status: Status) -> &'static str {
    match status {
        Status::Unknown | Status::Healthy => "pass",
        Status::Degraded => "warn",
        Status::Unhealthy | Status::Critical => "fail",
    }
}

fn json(code: StatusCode, report: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(report) {
        Ok(body) => answer(code, body.into()),
        // Nothing in a report can fail to be written; but a probe must answer.
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(br#"{"status":"fail"}"#)),
    }
}

fn answer(code: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(CONTENT_LENGTH, length);
    response
}
