//! What the metrics server answers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower::Service;

use crate::base::panics::catch;
use crate::health::HealthService;
use crate::telemetry::Telemetry;

/// How long a page may take.
const PAGE: Duration = Duration::from_secs(20);

const LIVEZ: &str = "/livez";
const PROBES: [&str; 4] = [LIVEZ, "/readyz", "/startupz", "/healthz"];

type Page = Response<Full<Bytes>>;

/// The most pages of `/metrics` that are made at once, and the most probes. A page can hang in a callback of a metric: then the
/// others wait without a thread, and the probes have their own.
const AT_ONCE: usize = 4;

/// The most threads that pages need.
pub(super) const THREADS: usize = 2 * AT_ONCE;

/// The services behind the paths.
#[derive(Clone)]
pub(super) struct Pages {
    #[cfg(feature = "prometheus")]
    metrics: crate::telemetry::PrometheusService,
    #[cfg(feature = "prometheus")]
    scrapes: Arc<Semaphore>,
    probes: Option<HealthService>,
    probing: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn new(telemetry: &Telemetry, probes: bool) -> Self {
        Self {
            #[cfg(feature = "prometheus")]
            metrics: telemetry.prometheus_service(),
            #[cfg(feature = "prometheus")]
            scrapes: Arc::new(Semaphore::new(AT_ONCE)),
            probes: probes.then(|| telemetry.health().http_service()),
            probing: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) async fn answer<B>(self, request: Request<B>) -> Page {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut page = text(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n");
            page.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return page;
        }
        let request = request.map(drop);
        let path = request.uri().path();
        // Liveness depends on nothing, not even on a free thread.
        if let (LIVEZ, Some(probes)) = (path, &self.probes) {
            return now(&mut probes.clone(), request).unwrap_or_else(broken);
        }
        if let (true, Some(probes)) = (PROBES.contains(&path), self.probes) {
            return apart(probes, request, self.probing).await;
        }
        #[cfg(feature = "prometheus")]
        if path == "/metrics" {
            return apart(self.metrics, request, self.scrapes).await;
        }
        text(StatusCode::NOT_FOUND, "not found: use /metrics, /livez, /readyz, /startupz or /healthz\n")
    }
}

/// Makes a page on a thread of its own: a callback of a metric is the application's code, and may hang or panic.
async fn apart<S>(mut service: S, request: Request<()>, places: Arc<Semaphore>) -> Page
where
    S: Service<Request<()>, Response = Page> + Send + 'static,
    S::Future: IntoPage,
{
    let made = async move {
        let place = places.acquire_owned().await.ok()?;
        let make = move || {
            let page = now(&mut service, request);
            drop(place);
            page
        };
        spawn_blocking(make).await.ok().flatten()
    };
    match timeout(PAGE, made).await {
        Ok(Some(page)) => page,
        Ok(None) => broken(),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the page took longer than 20 s to make\n"),
    }
}

/// The answer of a service that answers at once; `None` if it panicked.
fn now<S>(service: &mut S, request: Request<()>) -> Option<Page>
where
    S: Service<Request<()>, Response = Page>,
    S::Future: IntoPage,
{
    catch(|| service.call(request).into_page()).ok()
}

/// A future that is ready.
trait IntoPage: Future {
    fn into_page(self) -> Page;
}

impl IntoPage for std::future::Ready<Result<Page, std::convert::Infallible>> {
    fn into_page(self) -> Page {
        match self.into_inner() {
            Ok(page) => page,
            Err(never) => match never {},
        }
    }
}

fn broken() -> Page {
    text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made: a metric panicked\n")
}

fn text(status: StatusCode, text: &'static str) -> Page {
    let mut page = Response::new(Full::from(text));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    page
}
