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

use super::pages::{Asked, Page, Pages};
use super::report::PASS;
use crate::health::handle::Health;

const JSON: HeaderValue = HeaderValue::from_static("application/health+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const GET_AND_HEAD: HeaderValue = HeaderValue::from_static("GET, HEAD");
const NO_SUCH: &[u8] =
    br#"{"status":"fail","output":"no such probe; there are /livez, /readyz, /startupz and /healthz"}"#;
const NO_METHOD: &[u8] = br#"{"status":"fail","output":"a probe takes GET and HEAD"}"#;

/// Answers `/livez`, `/readyz`, `/startupz` and `/healthz`; made by [`Health::http_service`].
#[derive(Clone, Debug)]
pub struct HealthService {
    health: Health,
    pages: Arc<Pages>,
    verbose: bool,
}

impl Health {
    /// The probes: a service that axum and hyper take as it is.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/livez` | 200 as long as the process answers at all; asks no component |
    /// | `/startupz` | 503 until the [start](Health::startup) is complete, with what it waits for; then 200 for good |
    /// | `/readyz` | 503 while the process starts or drains, or a critical component fails, which it names; else 200 |
    /// | `/healthz` | 503 when the overall status is `Unhealthy` or `Critical`, else 200 |
    ///
    /// An answer names components and their status, and not why. With [`HealthService::verbose`] on, `?verbose` asks for
    /// the rest: `/healthz` tells of each component its score, reasons, root causes, checks with what they said, and
    /// outlook, `/readyz` the same of those that are critical, and both the name and version of the service.
    ///
    /// Bodies are JSON, with the fields of `application/health+json` (draft-inadarei-api-health-check) where
    /// they fit. Anything but GET and HEAD is 405, any other path 404; under a prefix, mount it by axum's `nest_service`.
    /// No probe makes a check run. Answers come from a snapshot at most
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for) old and are written once for all who
    /// ask meanwhile, so that a flood costs little more than its connections.
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
    /// Whether `?verbose` counts. Default: no, since every caller of a probe may ask it. Turn it on where only operators
    /// can.
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
        let asked = match uri.path() {
            // Without a look at anything: what is restarted for the fault of another fails all the same.
            "/livez" => None,
            "/readyz" if self.is_verbose(uri) => Some(Asked::ReadyVerbose),
            "/readyz" => Some(Asked::Ready),
            "/startupz" => Some(Asked::Started),
            "/healthz" if self.is_verbose(uri) => Some(Asked::HealthVerbose),
            "/healthz" => Some(Asked::Health),
            _ => return answer(StatusCode::NOT_FOUND, Bytes::from_static(NO_SUCH)),
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(NO_METHOD));
            response.headers_mut().insert(ALLOW, GET_AND_HEAD);
            return response;
        }
        let Page { code, body } = match asked {
            None => Page { code: StatusCode::OK, body: Bytes::from_static(PASS) },
            Some(asked) => self.pages.get(&self.health, asked),
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

    /// Holds up whoever makes a snapshot on one thread, and panics when it lets go.
    struct Trap {
        thread: ThreadId,
        caught: mpsc::Sender<()>,
        freed: crate::base::sync::Mutex<mpsc::Receiver<()>>,
    }

    impl Source for Trap {
        fn observe(&self, _: &mut Emit<'_>) {}

        fn signs(&self, _: &mut dyn FnMut(&str, Sign)) {
            if thread::current().id() == self.thread {
                self.caught.send(()).unwrap();
                let _ = self.freed.lock().recv();
                panic!("on purpose: nothing can be told");
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
        let (caught, caught_one) = mpsc::channel();
        let (free, freed) = mpsc::channel::<()>();
        let looks = thread::spawn({
            let service = service.clone();
            move || {
                let trap = Trap {
                    thread: thread::current().id(),
                    caught,
                    freed: crate::base::sync::Mutex::new(freed),
                };
                let trap = Arc::new(trap);
                signal::register(&trap);
                code(&service, "/readyz")
            }
        });
        caught_one.recv().unwrap();
        assert_eq!(code(&service, "/livez"), StatusCode::OK, "while a snapshot hangs");
        drop(free);
        assert!(looks.join().is_err());
        assert_eq!(code(&service, "/livez"), StatusCode::OK, "after one panicked");
        assert_eq!(code(&service, "/readyz"), StatusCode::OK, "and the others go on");
    }

    #[test]
    fn p52_liveness_waits_for_no_lock() {
        let health = Health::standalone();
        let service = health.http_service();
        let held = health.inner.kept.lock();
        let (answered, answer) = mpsc::channel();
        thread::spawn(move || answered.send(code(&service, "/livez")));
        let answer = answer.recv_timeout(std::time::Duration::from_secs(30));
        assert_eq!(answer, Ok(StatusCode::OK));
        drop(held);
    }
}
