//! A load balancer with clients: they send requests to the first of two servers while its readiness probe answers 200, and
//! to the second one from then on. A request whose answer does not come is lost, also if it could not be sent. None is
//! repeated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;

/// How often readiness is probed.
const PROBE: Duration = Duration::from_millis(100);

pub type Http = Client<HttpConnector, Empty<Bytes>>;

/// A client that repeats nothing.
pub fn client(http2: bool) -> Http {
    Client::builder(TokioExecutor::new()).http2_only(http2).retry_canceled_requests(false).build_http()
}

/// Sends one request.
pub async fn get(client: &Http, server: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), String> {
    let uri: Uri = format!("http://{server}{path}").parse().unwrap();
    let response = client.get(uri).await.map_err(|error| format!("{error:?}"))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
    Ok((status, body.to_bytes()))
}

pub struct Load {
    servers: [SocketAddr; 2],
    clients: [Http; 2],
    first_is_ready: AtomicBool,
    /// The number of the next request.
    next: AtomicU64,
    total: u64,
    answered: [AtomicU64; 2],
    lost: std::sync::Mutex<Vec<String>>,
    half: Notify,
}

/// What became of the requests.
#[derive(Debug)]
pub struct Ledger {
    /// Answers of each server.
    pub answered: [u64; 2],
    pub lost: Vec<String>,
}

impl Load {
    /// Sends `total` short requests from `tasks` tasks, and long ones beside them, which are not among the `total`.
    pub fn start(
        servers: [SocketAddr; 2],
        http2: bool,
        total: u64,
        tasks: usize,
    ) -> (Arc<Self>, impl Future<Output = Ledger>) {
        let load = Arc::new(Self {
            servers,
            clients: [client(http2), client(http2)],
            first_is_ready: AtomicBool::new(true),
            next: AtomicU64::new(0),
            total,
            answered: [AtomicU64::new(0), AtomicU64::new(0)],
            lost: std::sync::Mutex::default(),
            half: Notify::new(),
        });
        let probing = tokio::spawn(Arc::clone(&load).probe());
        let short = (0..tasks).map(|_| tokio::spawn(Arc::clone(&load).short())).collect::<Vec<_>>();
        let long = (0..8).map(|_| tokio::spawn(Arc::clone(&load).long())).collect::<Vec<_>>();
        let ended = Arc::clone(&load);
        let ledger = async move {
            for task in short.into_iter().chain(long) {
                task.await.unwrap();
            }
            probing.abort();
            let answered = ended.answered.each_ref().map(|count| count.load(Ordering::SeqCst));
            Ledger { answered, lost: std::mem::take(&mut *ended.lost.lock().unwrap()) }
        };
        (load, ledger)
    }

    /// Waits until half of the requests have been sent.
    pub async fn half(&self) {
        self.half.notified().await;
    }

    async fn probe(self: Arc<Self>) {
        loop {
            // As kubelet does, on a new connection each time.
            let ready = get(&client(false), self.servers[0], "/readyz").await;
            if !matches!(ready, Ok((StatusCode::OK, _))) {
                self.first_is_ready.store(false, Ordering::SeqCst);
                return;
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    async fn short(self: Arc<Self>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.total {
                return;
            }
            if number == self.total / 2 {
                self.half.notify_one();
            }
            self.send(&format!("/work/{number}"), &number.to_string()).await;
        }
    }

    async fn long(self: Arc<Self>) {
        while self.next.load(Ordering::SeqCst) < self.total {
            self.send("/slow", "slow").await;
        }
    }

    async fn send(&self, path: &str, wanted: &str) {
        let server = usize::from(!self.first_is_ready.load(Ordering::SeqCst));
        match get(&self.clients[server], self.servers[server], path).await {
            Ok((StatusCode::OK, body)) if body == wanted.as_bytes() => {
                self.answered[server].fetch_add(1, Ordering::SeqCst);
            }
            other => self.lost.lock().unwrap().push(format!("{path} of server {server}: {other:?}")),
        }
    }
}
