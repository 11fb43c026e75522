//! The customers: send orders at a steady rate and count the answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::ProgressBar;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// Orders per second.
pub(crate) const RATE: u64 = 80;
/// Maximum number of orders without an answer. Further orders are delayed.
const MAX_PENDING: usize = 512;

/// The answers to the customers.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    pub(crate) sent: Vec<String>,
    pub(crate) charged: u64,
    pub(crate) parked: u64,
    /// Orders that were neither charged nor parked, with the reason.
    pub(crate) refused: Vec<(String, String)>,
    pub(crate) latencies: Vec<Duration>,
}

/// Sends orders for `time`, or until `stop` changes, and waits for every answer.
pub(crate) async fn send_orders(
    checkout: SocketAddr,
    time: Duration,
    mut stop: watch::Receiver<bool>,
    progress: ProgressBar,
) -> Receipts {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut answers = JoinSet::new();
    let mut receipts = Receipts::default();
    while began.elapsed() < time {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(answer) = answers.join_next() => {
                receipts.take(answer);
                continue;
            }
            _ = stop.changed() => break,
        }
        let Ok(permit) = Arc::clone(&pending).acquire_owned().await else { break };
        let id = format!("order-{:06}", receipts.sent.len() + 1);
        receipts.sent.push(id.clone());
        let client = client.clone();
        answers.spawn(async move {
            let _permit = permit;
            let sent = Instant::now();
            let answer = send(&client, checkout, &id).await;
            (id, answer, sent.elapsed())
        });
        progress.set_position(began.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
    }
    while let Some(answer) = answers.join_next().await {
        receipts.take(answer);
    }
    progress.finish_and_clear();
    receipts
}

async fn send(
    client: &Client<HttpConnector, Full<Bytes>>,
    checkout: SocketAddr,
    id: &str,
) -> Result<StatusCode, String> {
    let details = format!(r#"{{"order":"{id}","amount":{}}}"#, fastrand::u32(1..500));
    let url = super::url(checkout, &format!("/orders/{id}")).map_err(|error| error.to_string())?;
    let request = Request::post(url)
        .header("content-type", "application/json")
        .body(Full::from(details))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(status)
    };
    // Longer than the maximum time of all layers.
    match tokio::time::timeout(Duration::from_secs(30), exchange).await {
        Ok(answer) => answer,
        Err(_) => Err("checkout did not answer within 30 s".to_owned()),
    }
}

type Answer = (String, Result<StatusCode, String>, Duration);

impl Receipts {
    fn take(&mut self, answer: Result<Answer, tokio::task::JoinError>) {
        let Ok((id, answer, latency)) = answer else { return };
        self.latencies.push(latency);
        match answer {
            Ok(StatusCode::OK) => self.charged += 1,
            Ok(StatusCode::ACCEPTED) => self.parked += 1,
            Ok(status) => self.refused.push((id, format!("checkout answered {status}"))),
            Err(error) => self.refused.push((id, error)),
        }
    }
}
