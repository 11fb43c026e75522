//! The service that breaks: charges orders, each once, and does what the script says.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use campanile::telemetry;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::instrument;

use super::script::Act;

/// The running service.
pub(crate) struct Payments {
    address: SocketAddr,
    act: watch::Sender<Act>,
    charged: Arc<RwLock<HashSet<String>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    act: watch::Receiver<Act>,
    charged: Arc<RwLock<HashSet<String>>>,
}

impl Payments {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (act, acts) = watch::channel(Act::Healthy);
        let charged = Arc::new(RwLock::new(HashSet::new()));
        let desk = Desk { act: acts.clone(), charged: Arc::clone(&charged) };
        let app = Router::new()
            .route("/charge", post(charge))
            .route("/readyz", get(ready))
            .layer(telemetry::http_propagation_layer())
            .with_state(desk);
        let server = tokio::spawn(serve(listener, address, acts, app));
        Ok(Self { address, act, charged, server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn play(&self, act: Act) {
        self.act.send_replace(act);
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

/// Charges the order that the `Idempotency-Key` names; a second time it is charged no more.
#[instrument(name = "charge", skip_all, fields(component = "payments"))]
async fn charge(State(desk): State<Desk>, headers: HeaderMap) -> StatusCode {
    let Some(order) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let act = *desk.act.borrow();
    match act {
        Act::Healthy | Act::Refusing => tokio::time::sleep(Duration::from_millis(fastrand::u64(2..15))).await,
        Act::Unavailable if fastrand::f64() < 0.9 => {
            tracing::error!("the ledger is locked");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Act::Unavailable => {}
        Act::Slow => tokio::time::sleep(Duration::from_millis(fastrand::u64(350..600))).await,
        Act::Hanging => std::future::pending().await,
    }
    desk.charged.write().unwrap_or_else(PoisonError::into_inner).insert(order.to_owned());
    StatusCode::OK
}

/// What a health check is told: no more than what a call would find.
async fn ready(State(desk): State<Desk>) -> StatusCode {
    let act = *desk.act.borrow();
    match act {
        Act::Healthy | Act::Refusing => StatusCode::OK,
        Act::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Act::Slow => {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(350..600))).await;
            StatusCode::OK
        }
        Act::Hanging => std::future::pending().await,
    }
}

/// Accepts connections except while refusing, when even the listener is gone.
async fn serve(listener: TcpListener, address: SocketAddr, mut acts: watch::Receiver<Act>, app: Router) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let refusing = *acts.borrow_and_update() == Act::Refusing;
        match &listener {
            Some(_) if refusing => {
                listener = None;
                connections.shutdown().await;
            }
            None if !refusing => listener = TcpListener::bind(address).await.ok(),
            _ => {}
        }
        tokio::select! {
            changed = acts.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                let Ok((stream, _)) = accepted else { continue };
                let app = TowerToHyperService::new(app.clone());
                connections.spawn(async move {
                    // A connection that ends badly is the client's to notice.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), app)
                        .await;
                });
            }
            // The port may be taken for a moment: try again.
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
