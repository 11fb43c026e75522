//! One export: sent, sent again where that may help, and given up when its time is over.

use std::error::Error;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::{Method, Request};
use http_body_util::Full;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Again, Failure, Rejected, of_grpc, of_http};
use super::connect::{Client, Connect};
use super::message::body;
use super::target::Target;
use crate::backoff::Backoff;
use crate::sync::Mutex;
use crate::telemetry::counters::{Counters, Lost};
use crate::telemetry::error::TelemetryError;

/// Between two tries, if the collector does not ask for more.
const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5));

/// As the specification wants it: the name of the exporter, its language and its version.
const AGENT: &str = concat!("campanile-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Sends the messages of one signal to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    target: Target,
    connect: Connect,
    client: Mutex<Client>,
    handle: Handle,
    closing: watch::Receiver<bool>,
    counters: Arc<Counters>,
}

impl Sender {
    pub(super) fn new(
        mut target: Target,
        handle: Handle,
        closing: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let connect = Connect::to(&target)?;
        add_own_headers(&mut target);
        let client = Mutex::new(connect.client());
        Ok(Self { target, connect, client, handle, closing, counters })
    }

    /// Sends `message` on the background runtime; may be polled from anywhere.
    pub(super) async fn export(self: &Arc<Self>, message: Vec<u8>) -> OTelSdkResult {
        let sender = Arc::clone(self);
        let task = Task(self.handle.spawn(async move { sender.send(&message).await }));
        task.await
    }

    async fn send(&self, message: &[u8]) -> OTelSdkResult {
        let limit = self.target.timeout;
        let deadline = Instant::now() + limit;
        let body = body(message, self.target.grpc, self.target.gzip);
        let mut closing = self.closing.clone();
        let mut delay = Duration::ZERO;
        for tries in 0.. {
            let Ok(result) = timeout_at(deadline, self.try_once(body.clone(), deadline)).await else {
                // The connection may be one that nobody is at the other end of any more.
                *self.client.lock() = self.connect.client();
                return Err(OTelSdkError::Timeout(limit));
            };
            let failure = match result {
                Ok(rejected) => {
                    self.tell(&rejected);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let Again::After(asked) = failure.again else { return Err(self.failed(&failure)) };
            delay = BACKOFF.delay(tries, delay).max(asked);
            if deadline.saturating_duration_since(Instant::now()) <= delay {
                return Err(self.failed(&failure));
            }
            if timeout(delay, closing.wait_for(|closing| *closing)).await.is_ok() {
                return Err(self.failed(&failure));
            }
        }
        unreachable!("one of these tries was the last")
    }

    async fn try_once(&self, body: Bytes, deadline: Instant) -> Result<Rejected, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = self.target.headers.clone();
        if self.target.grpc {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis().min(99_999_999);
            if let Ok(left) = HeaderValue::from_str(&format!("{left}m")) {
                request.headers_mut().insert(HeaderName::from_static("grpc-timeout"), left);
            }
        }
        let client = self.client.lock().clone();
        let answer = client.request(request).await.map_err(|error| unreached(&*error))?;
        if self.target.grpc {
            of_grpc(answer.status, &answer.headers, answer.trailers.as_ref(), &answer.body)
        } else {
            of_http(answer.status, &answer.headers, &answer.body)
        }
    }

    /// Without the path and the query of the address: those may hold a secret.
    fn failed(&self, failure: &Failure) -> OTelSdkError {
        let collector = self.target.uri.authority().map_or("", |authority| authority.as_str());
        OTelSdkError::InternalFailure(format!("{collector}: {}", failure.text))
    }

    /// Counts what the collector did not take.
    fn tell(&self, Rejected { items, message }: &Rejected) {
        let signal = self.target.signal;
        if *items > 0 {
            self.counters.failed(signal);
            self.counters.lost(signal, Lost::Rejected, usize::try_from(*items).unwrap_or(usize::MAX));
            tracing::warn!(
                items,
                signal = signal.as_str(),
                "the collector did not take all that it was sent"
            );
        }
        if !message.is_empty() {
            tracing::debug!(message, signal = signal.as_str(), "the collector says");
        }
    }
}

/// The headers of the protocol, which no other may replace.
fn add_own_headers(target: &mut Target) {
    let headers = &mut target.headers;
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    let gzip = HeaderValue::from_static("gzip");
    if target.grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if target.gzip {
            headers.insert(HeaderName::from_static("grpc-encoding"), gzip);
        }
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if target.gzip {
            headers.insert(CONTENT_ENCODING, gzip);
        }
    }
}

/// There was no answer. Another try may get one, unless the two do not trust each other.
fn unreached(error: &(dyn Error + 'static)) -> Failure {
    let mut text = String::from("no answer");
    let (mut next, mut again) = (Some(error), Again::After(Duration::ZERO));
    while let Some(error) = next {
        // A `String` takes everything.
        let _ = write!(text, ": {error}");
        if distrust(error) {
            again = Again::Never;
        }
        next = error.source();
    }
    Failure { text, again }
}

#[cfg(feature = "tls")]
fn distrust(error: &(dyn Error + 'static)) -> bool {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inside| inside.is::<rustls::Error>())
}

#[cfg(not(feature = "tls"))]
fn distrust(_: &(dyn Error + 'static)) -> bool {
    false
}

/// A task that ends when nobody waits for it any more.
struct Task(JoinHandle<OTelSdkResult>);

impl Future for Task {
    type Output = OTelSdkResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OTelSdkResult> {
        Pin::new(&mut self.0).poll(cx).map(|joined| {
            joined.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(format!("no export: {error}"))))
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
