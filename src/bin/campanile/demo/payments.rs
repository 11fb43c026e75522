//! The service that breaks: charges each order once, and fails by the script.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use campanile::Telemetry;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::instrument;

use super::script::Behavior;

/// The running service.
pub(crate) struct Payments {
    address: SocketAddr,
    behavior: watch::Sender<Behavior>,
    charged: Arc<RwLock<HashSet<String>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct AppState {
    behavior: watch::Receiver<Behavior>,
    charged: Arc<RwLock<HashSet<String>>>,
}

impl Payments {
    pub(crate) async fn start(telemetry: &Telemetry) -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (behavior, behaviors) = watch::channel(Behavior::Healthy);
        let charged = Arc::new(RwLock::new(HashSet::new()));
        let state = AppState { behavior: behaviors.clone(), charged: Arc::clone(&charged) };
        let app = Router::new()
            .route("/charge", post(charge))
            .route("/readyz", get(ready))
            .layer(telemetry.http_server_layer().component("payments_server"))
            .with_state(state);
        let server = tokio::spawn(serve(listener, address, behaviors, app));
        Ok(Self { address, behavior, charged, server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set_behavior(&self, behavior: Behavior) {
        self.behavior.send_replace(behavior);
    }

    /// Whether the order was charged.
    pub(crate) fn has_charged(&self, order: &str) -> bool {
        self.charged.read().unwrap_or_else(PoisonError::into_inner).contains(order)
    }
}

impl Drop for Payments {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Charges the order in the header `Idempotency-Key`. A repeated order is not charged again.
#[instrument(name = "charge", skip_all, fields(component = "payments"))]
async fn charge(State(state): State<AppState>, headers: HeaderMap) -> StatusCode {
    let Some(order) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let behavior = *state.behavior.borrow();
    match behavior {
        Behavior::Healthy | Behavior::Refusing => {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(2..15))).await
        }
        Behavior::Unavailable if fastrand::f64() < 0.9 => {
            tracing::error!("the ledger is locked");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Behavior::Unavailable => {}
        Behavior::Slow => tokio::time::sleep(Duration::from_millis(fastrand::u64(350..600))).await,
        Behavior::Hanging => std::future::pending().await,
    }
    state.charged.write().unwrap_or_else(PoisonError::into_inner).insert(order.to_owned());
    StatusCode::OK
}

/// The answer to a health check. It behaves as a call would.
async fn ready(State(state): State<AppState>) -> StatusCode {
    let behavior = *state.behavior.borrow();
    match behavior {
        Behavior::Healthy | Behavior::Refusing => StatusCode::OK,
        Behavior::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Behavior::Slow => {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(350..600))).await;
            StatusCode::OK
        }
        Behavior::Hanging => std::future::pending().await,
    }
}

/// Accepts connections. While payments refuses connections, the listener is closed.
async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    mut behaviors: watch::Receiver<Behavior>,
    app: Router,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let refusing = *behaviors.borrow_and_update() == Behavior::Refusing;
        match &listener {
            Some(_) if refusing => {
                listener = None;
                connections.shutdown().await;
            }
            None if !refusing => listener = TcpListener::bind(address).await.ok(),
            _ => {}
        }
        tokio::select! {
            changed = behaviors.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                let Ok((stream, _)) = accepted else { continue };
                let app = TowerToHyperService::new(app.clone());
                connections.spawn(async move {
                    // The client sees a failed connection itself.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), app)
                        .await;
                });
            }
            // Retries to bind: the port may be taken for a moment.
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() && !refusing => {}
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
