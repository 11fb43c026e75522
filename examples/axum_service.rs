//! A service on axum with spans, metrics, health and a dependency behind a circuit, as in docs/axum.md. It serves until SIGTERM.
//!
//! `cargo run --example axum_service --features hub`

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use campanile::Campanile;
use campanile::hub::Dependency;

/// Reads the stock of an item. Yours asks a database or another service.
async fn read(id: u32) -> Result<u32, std::io::Error> {
    if id < 100 { Ok(id * 3) } else { Err(std::io::Error::other("the stock does not answer")) }
}

#[tracing::instrument(skip_all, fields(component = "catalogue", item = id))]
async fn item(Path(id): Path<u32>, State(stock): State<Dependency>) -> Result<String, StatusCode> {
    match stock.call(|| read(id)).await {
        Ok(count) => Ok(format!("item {id}: {count} in stock\n")),
        Err(error) => {
            tracing::error!(%error, "the item cannot be shown");
            Err(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let campanile = Campanile::builder("shop").start().await?;
    let api = campanile.server("api").build()?;
    let stock = campanile.dependency("stock").build().await?;

    let app = Router::new()
        .route("/items/{id}", get(item))
        .layer(api.http_layer())
        .with_state(stock)
        // Added after the layer: no spans, no durations.
        .fallback_service(campanile.health().http_service());

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    campanile.serve(listener, app).await?;
    Ok(())
}
