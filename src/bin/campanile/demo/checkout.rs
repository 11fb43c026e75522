//! The protected service: takes orders and charges them at `payments`, through all layers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use campanile::retry::ReplayBody;
use campanile::{
    Backoff, CircuitBreaker, DeadLetterQueue, HalfOpen, Health, Retry, RetryBudget, Telemetry, Timing, Window,
};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tracing::instrument;

/// A client of `payments` inside layers.
type Client<B> = BoxCloneSyncService<Request<B>, Response<Body>, BoxError>;

/// The mechanisms that protect calls to `payments`.
pub(crate) struct Stack {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) retry: Retry,
    pub(crate) timing: Timing,
    pub(crate) queue: DeadLetterQueue,
    telemetry: Telemetry,
}

impl Stack {
    /// Short times, so that a demonstration shows every state within seconds.
    pub(crate) fn new(queue: DeadLetterQueue, telemetry: &Telemetry) -> Result<Self, campanile::ConfigError> {
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
        Ok(Self { breaker, retry, timing: Timing::new("payments"), queue, telemetry: telemetry.clone() })
    }

    /// The client with all layers, for orders.
    pub(crate) fn client(&self) -> Client<Full<Bytes>> {
        BoxCloneSyncService::new(self.queue.http_layer().layer(self.redrive_client()))
    }

    /// The client without the dead-letter layer, for redrives: a letter that fails again is still in the queue.
    pub(crate) fn redrive_client(&self) -> Client<ReplayBody> {
        let client = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .map_err(BoxError::from)
            .layer(self.retry.http_layer())
            .layer(self.breaker.http_layer())
            .layer(self.timing.http_client_layer())
            .layer(self.telemetry.http_client_layer().component("payments_client"))
            .service(legacy::Client::builder(TokioExecutor::new()).build_http::<ReplayBody>());
        BoxCloneSyncService::new(client)
    }
}

/// The running service.
pub(crate) struct Checkout {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct AppState {
    payments: SocketAddr,
    client: Client<Full<Bytes>>,
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
        let app = Router::new()
            .route("/orders/{id}", post(order))
            .layer(timing.http_server_layer())
            .layer(telemetry.http_server_layer().component("checkout_server"))
            .with_state(AppState { payments, client: stack.client() })
            .route_service("/metrics", telemetry.prometheus_service())
            .fallback_service(health.http_service().verbose(true));
        let server = tokio::spawn(async move {
            // The task is aborted at the end of the demonstration.
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

/// Takes an order. Answers 200 if it was charged, and 202 if it is parked as a dead letter.
#[instrument(name = "order", skip(state, details), fields(component = "checkout"))]
async fn order(State(state): State<AppState>, Path(id): Path<String>, details: Bytes) -> StatusCode {
    match charge(&state, &id, details).await {
        Ok(StatusCode::OK) => StatusCode::OK,
        // The layer has parked the request before it returns the failure, so the order is not lost.
        Ok(status) => {
            tracing::warn!(%status, "the order is parked");
            StatusCode::ACCEPTED
        }
        Err(error) => {
            tracing::warn!(%error, "the order is parked");
            StatusCode::ACCEPTED
        }
    }
}

#[instrument(skip_all, err(level = "warn"), fields(component = "checkout"))]
async fn charge(state: &AppState, id: &str, details: Bytes) -> Result<StatusCode, BoxError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(super::url(state.payments, "/charge")?)
        .header("idempotency-key", id)
        .header("content-type", "application/json")
        .body(Full::new(details))?;
    let response = state.client.clone().oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}
