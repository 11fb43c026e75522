//! The service that survives: takes orders and charges them at `payments`, through the whole stack.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, State};
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use campanile::retry::ReplayBody;
use campanile::{
    Backoff, CircuitBreaker, DeadLetterQueue, HalfOpen, Health, Retry, RetryBudget, Telemetry, Timing,
    Window, telemetry,
};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tracing::instrument;

/// A call to `payments`: with the layers around it, and with all of them but the dead letters.
type Call<B> = BoxCloneSyncService<Request<B>, Response<Body>, BoxError>;

/// What protects the calls to `payments`.
pub(crate) struct Stack {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) retry: Retry,
    pub(crate) timing: Timing,
    pub(crate) queue: DeadLetterQueue,
}

impl Stack {
    /// Settings for a demonstration: everything happens within seconds.
    pub(crate) fn new(queue: DeadLetterQueue) -> Result<Self, campanile::ConfigError> {
        let breaker = CircuitBreaker::builder("payments")
            .failure_rate(0.5)
            .slow_call(Duration::from_millis(300), 0.8)
            .window(Window::count(30))
            .minimum_calls(10)
            .open_for(Backoff::exponential(Duration::from_millis(250), Duration::from_secs(1)))
            .half_open(HalfOpen { permits: 3, max_wait: Duration::from_secs(2) })
            .build()?;
        let retry = Retry::builder()
            .name("payments")
            .max_attempts(3)
            .backoff(Backoff::exponential(Duration::from_millis(20), Duration::from_millis(200)))
            .budget(RetryBudget::ratio(0.2).min_per_second(10))
            .attempt_timeout(Duration::from_millis(800))
            .deadline(Duration::from_secs(2))
            .build()?;
        Ok(Self { breaker, retry, timing: Timing::new("payments"), queue })
    }

    /// The client with every layer, as a service uses it.
    pub(crate) fn client(&self) -> Call<Full<Bytes>> {
        BoxCloneSyncService::new(self.queue.http_layer().layer(self.redrive_client()))
    }

    /// The same without the dead letters, for sending them again: what fails now is still in the queue.
    pub(crate) fn redrive_client(&self) -> Call<ReplayBody> {
        let client = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .map_err(BoxError::from)
            .layer(self.retry.http_layer())
            .layer(self.breaker.http_layer())
            .layer(self.timing.http_client_layer())
            .layer(telemetry::http_injection_layer())
            .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
        BoxCloneSyncService::new(client)
    }
}

/// The running service.
pub(crate) struct Checkout {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Till {
    payments: SocketAddr,
    client: Call<Full<Bytes>>,
}

impl Checkout {
    pub(crate) async fn start(
        stack: &Stack,
        payments: SocketAddr,
        telemetry: &Telemetry,
        health: &Health,
        timing: &Timing,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let route = |request: &axum::http::request::Parts| {
            request.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned())
        };
        let app = Router::new()
            .route("/orders/{id}", post(order))
            .layer(telemetry::http_propagation_layer())
            .layer(timing.http_server_layer().route(route))
            .with_state(Till { payments, client: stack.client() })
            .route_service("/metrics", telemetry.prometheus_service())
            .fallback_service(health.http_service().verbose(true));
        let server = tokio::spawn(async move {
            // Ends with the demonstration.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, server })
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes an order: 200 when it is charged, 202 when it waits among the dead letters.
#[instrument(name = "order", skip(till, details), fields(component = "checkout"))]
async fn order(State(till): State<Till>, Path(id): Path<String>, details: Bytes) -> StatusCode {
    match charge(&till, &id, details).await {
        Ok(StatusCode::OK) => StatusCode::OK,
        // The layer parks a request before its caller sees the failure: nothing is lost.
        Ok(status) => {
            tracing::warn!(%status, "not charged yet");
            StatusCode::ACCEPTED
        }
        Err(error) => {
            tracing::warn!(%error, "not charged yet");
            StatusCode::ACCEPTED
        }
    }
}

#[instrument(skip_all, err(level = "warn"), fields(component = "checkout", otel.kind = "client"))]
async fn charge(till: &Till, id: &str, details: Bytes) -> Result<StatusCode, BoxError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(super::url(till.payments, "/charge")?)
        .header("idempotency-key", id)
        .header("content-type", "application/json")
        .body(Full::new(details))?;
    let response = till.client.clone().oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}
