//! The probes as a tower service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::Service;

use super::pages::{PageCache, PageKind};
use super::report::{PASS, Page};
use crate::health::handle::Health;

const JSON: HeaderValue = HeaderValue::from_static("application/health+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const GET_AND_HEAD: HeaderValue = HeaderValue::from_static("GET, HEAD");
const NOT_FOUND: &[u8] =
    br#"{"status":"fail","output":"no such probe: use /livez, /readyz, /startupz or /healthz"}"#;
const METHOD_NOT_ALLOWED: &[u8] = br#"{"status":"fail","output":"a probe accepts GET and HEAD only"}"#;

/// Answers `/livez`, `/readyz`, `/startupz` and `/healthz`; made by [`Health::http_service`].
#[derive(Clone, Debug)]
pub struct HealthService {
    health: Health,
    pages: Arc<PageCache>,
    verbose: bool,
}

impl Health {
    /// The probes over HTTP, as a service for axum and hyper.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/livez` | always 200; depends on no component |
    /// | `/startupz` | 503 with what the [start](Health::starting) waits for, until it is complete; then 200 for good |
    /// | `/readyz` | 503 while the process starts or drains, or while critical components fail, with their names; else 200 |
    /// | `/healthz` | 503 when the overall status is `Unhealthy` or `Critical`, else 200 |
    ///
    /// An answer names components with their status, but no reasons. With [`HealthService::verbose`], `?verbose` adds them:
    /// `/healthz` then has the score, reasons, root causes, checks with their messages and outlook of each component,
    /// `/readyz` those of the critical ones, and both have the name and version of the service.
    ///
    /// Bodies are JSON, with the fields of `application/health+json` (draft-inadarei-api-health-check) where they fit.
    /// Methods other than GET and HEAD get 405, other paths 404. To serve the probes under a prefix, use axum's
    /// `nest_service`. No probe runs a check. Answers come from a snapshot that is at most
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for) old, and are serialized once per
    /// snapshot, so that a flood of probes costs little more than its connections.
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
        HealthService { health: self.clone(), pages: Arc::default(), verbose: false }
    }
}

impl HealthService {
    /// Whether `?verbose` adds details. Default: no. Turn it on only where operators alone can call the probes: reasons and
    /// messages reveal how the system is built.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    ///
    /// let for_operators = Health::standalone().http_service().verbose(true);
    /// # let _ = for_operators;
    /// ```
    #[must_use]
    pub fn verbose(mut self, yes: bool) -> Self {
        self.verbose = yes;
        self
    }

    fn answer(&self, method: &Method, uri: &Uri) -> Response<Full<Bytes>> {
        let kind = match uri.path() {
            // Liveness depends on nothing: a restart does not repair a dependency.
            "/livez" => None,
            "/readyz" if self.is_verbose(uri) => Some(PageKind::ReadyVerbose),
            "/readyz" => Some(PageKind::Ready),
            "/startupz" => Some(PageKind::Startup),
            "/healthz" if self.is_verbose(uri) => Some(PageKind::HealthVerbose),
            "/healthz" => Some(PageKind::Health),
            _ => return answer(StatusCode::NOT_FOUND, Bytes::from_static(NOT_FOUND)),
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(METHOD_NOT_ALLOWED));
            response.headers_mut().insert(ALLOW, GET_AND_HEAD);
            return response;
        }
        let Page { code, body } = match kind {
            None => Page { code: StatusCode::OK, body: Bytes::from_static(PASS) },
            Some(kind) => self.pages.get(&self.health, kind),
        };
        let mut response = answer(code, body);
        if method == Method::HEAD {
            *response.body_mut() = Full::default();
        }
        response
    }

    fn is_verbose(&self, uri: &Uri) -> bool {
        let mut pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
        self.verbose
            && pairs.any(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                key == "verbose" && !matches!(value, "0" | "false")
            })
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

fn answer(code: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{self, Emit, Sign, Source};
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    /// Blocks a snapshot that is taken on one thread, and then panics in it.
    struct Trap {
        thread: ThreadId,
        blocked: mpsc::Sender<()>,
        released: crate::base::sync::Mutex<mpsc::Receiver<()>>,
    }

    impl Source for Trap {
        fn observe(&self, _: &mut Emit<'_>) {}

        fn signs(&self, _: &mut dyn FnMut(&str, Sign)) {
            if thread::current().id() == self.thread {
                self.blocked.send(()).unwrap();
                let _ = self.released.lock().recv();
                panic!("on purpose");
            }
        }
    }

    fn code(service: &HealthService, path: &'static str) -> StatusCode {
        service.answer(&Method::GET, &Uri::from_static(path)).status()
    }

    #[test]
    fn p52_liveness_needs_no_snapshot() {
        let health = Health::standalone();
        let service = health.http_service();
        let (blocked, is_blocked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let snapshot = thread::spawn({
            let service = service.clone();
            move || {
                let trap = Trap {
                    thread: thread::current().id(),
                    blocked,
                    released: crate::base::sync::Mutex::new(released),
                };
                let trap = Arc::new(trap);
                signal::register(&trap);
                code(&service, "/readyz")
            }
        });
        is_blocked.recv().unwrap();
        assert_eq!(code(&service, "/livez"), StatusCode::OK, "while a snapshot hangs");
        drop(release);
        assert!(snapshot.join().is_err());
        assert_eq!(code(&service, "/livez"), StatusCode::OK, "after a snapshot panicked");
        assert_eq!(code(&service, "/readyz"), StatusCode::OK, "and other snapshots work");
    }

    #[test]
    fn p52_liveness_waits_for_no_lock() {
        let health = Health::standalone();
        let service = health.http_service();
        let held = health.inner.states.lock();
        let (answered, answer) = mpsc::channel();
        thread::spawn(move || answered.send(code(&service, "/livez")));
        let answer = answer.recv_timeout(std::time::Duration::from_secs(30));
        assert_eq!(answer, Ok(StatusCode::OK));
        drop(held);
    }
}
