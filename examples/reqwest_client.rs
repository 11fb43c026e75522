//! A client on reqwest with dead letters, retries, a circuit breaker and timing, as in docs/reqwest.md. It starts the server
//! that it calls.
//!
//! `cargo run --example reqwest_client --features hub,reqwest`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::{Router, http::StatusCode, routing::post};
use campanile::reqwest::HttpClient;
use campanile::{CallError, Campanile, Redrive};

/// Sends an order. The key lets the server see that it got an order before, so that it may be sent again.
async fn charge(payments: &HttpClient, url: &str, order: u32) -> String {
    let request = payments.client().post(url).header("idempotency-key", format!("order-{order}"));
    match payments.send(request.body(format!("order {order}"))).await {
        Ok(response) => response.status().to_string(),
        Err(CallError::Rejected(_)) => "refused by the circuit".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broken = Arc::new(AtomicBool::new(true));
    let url = start_server(Arc::clone(&broken)).await?;

    let campanile = Campanile::builder("checkout").start().await?;
    let dependency = campanile
        .dependency("payments")
        .settings(|settings| settings.letters = Some(Default::default()))
        .build()
        .await?;
    let payments = dependency.reqwest(reqwest::Client::new());

    let answer = charge(&payments, &url, 1).await;
    println!("order 1: {answer}, after {} attempts", dependency.timing().snapshot().calls);
    let letters = dependency.letters().ok_or("the settings turn letters off")?;
    println!("letters: {}", letters.len().await?);

    broken.store(false, Ordering::Relaxed);
    let report = letters.redrive_http(payments.http_service(), Redrive::all()).await?;
    println!("sent again: {}, letters: {}", report.redriven, letters.len().await?);

    broken.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for order in 2..=21 {
        refused += u32::from(charge(&payments, &url, order).await.starts_with("refused"));
    }
    println!("20 orders: {refused} refused by the circuit");
    println!("attempts: {}, letters: {}", dependency.timing().snapshot().calls, letters.len().await?);
    campanile.end().await?;
    Ok(())
}

/// The server that is called. Yours is elsewhere. It answers 503 while it is `broken`.
async fn start_server(broken: Arc<AtomicBool>) -> std::io::Result<String> {
    let answer = move || {
        let broken = broken.load(Ordering::Relaxed);
        async move { if broken { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CREATED } }
    };
    let app = Router::new().route("/charges", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/charges", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}
