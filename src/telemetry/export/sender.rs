//! One export: sent, retried where that may help, and ended when its time is over.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Again, Failure, Rejected, of_http};
use super::connect::{Client, client, connector};
#[cfg(feature = "otlp-grpc")]
use super::grpc;
use super::target::Target;
use crate::backoff::Backoff;
use crate::error::sources;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::telemetry::counters::{Counters, Lost};
use crate::telemetry::error::TelemetryError;
use crate::tls::Connector;

/// The wait between two tries, unless the collector asks for more.
const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5));

/// No export takes longer, whatever the settings say: the sum of a moment and a longer time may overflow.
const LONGEST_EXPORT: Duration = Duration::from_secs(24 * 3_600);

/// More of an answer than a collector has to say.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// As the specification wants it: the name of the exporter, its language and its version.
const AGENT: &str = concat!("campanile-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Sends the messages of one signal to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) target: Target,
    connector: Connector,
    client: Mutex<Client>,
    closing: watch::Receiver<bool>,
    counters: Arc<Counters>,
    /// Whether the collector rejected a part of the last export.
    partly: AtomicBool,
}

impl Sender {
    pub(super) fn new(
        mut target: Target,
        closing: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let connector = connector(&target)?;
        target.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let client = Mutex::new(client(&connector, &target));
        Ok(Self { target, connector, client, closing, counters, partly: AtomicBool::new(false) })
    }

    /// Sends the body of `message`, on the runtime of this call.
    pub(super) async fn send(&self, message: Request<Bytes>) -> OTelSdkResult {
        let limit = self.target.timeout;
        let deadline = Instant::now() + limit.min(LONGEST_EXPORT);
        let (headers, body) = self.parts(message);
        let mut closing = self.closing.clone();
        let mut delay = Duration::ZERO;
        for tries in 0.. {
            let Ok(result) =
                timeout_at(deadline, self.try_once(headers.clone(), body.clone(), deadline)).await
            else {
                // The connection may have died.
                *self.client.lock() = client(&self.connector, &self.target);
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

    /// The headers and the body of a request with this message. Other headers of `message` are those that
    /// opentelemetry-otlp read from the environment; they are ignored, as the target has them, checked.
    fn parts(&self, message: Request<Bytes>) -> (HeaderMap, Bytes) {
        let (head, body) = message.into_parts();
        let mut headers = self.target.headers.clone();
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            let body = grpc::call(&mut headers, &body, head.headers.get(CONTENT_ENCODING));
            return (headers, body);
        }
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            headers.remove(&name);
            headers.extend(head.headers.get(&name).map(|value| (name, value.clone())));
        }
        (headers, body)
    }

    async fn try_once(
        &self,
        mut headers: HeaderMap,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Rejected, Failure> {
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            grpc::tell_timeout(&mut headers, deadline.saturating_duration_since(Instant::now()));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = headers;
        let client = self.client.lock().clone();
        let (head, body) = client.request(request).await.map_err(|error| unreached(&error))?.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect();
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            let body = body.await.map_err(|error| unreached(&*error))?;
            let trailers = body.trailers().cloned();
            return grpc::of_grpc(head.status, &head.headers, trailers.as_ref(), &body.to_bytes());
        }
        // The status decides. A body that breaks off is no reason to send again what the collector took.
        let body = if head.status.is_success() { body.await.ok() } else { None };
        of_http(head.status, &head.headers, &body.map(|body| body.to_bytes()).unwrap_or_default())
    }

    /// Names the host of the collector alone: path and query may hold a secret.
    fn failed(&self, failure: &Failure) -> OTelSdkError {
        let collector = self.target.uri.authority().map_or("", |authority| authority.as_str());
        OTelSdkError::InternalFailure(format!("{collector}: {}", failure.text))
    }

    /// Counts rejected items.
    fn tell(&self, Rejected { items, message }: &Rejected) {
        let signal = self.target.signal;
        if *items > 0 {
            self.counters.failed(signal);
            // Whatever number the collector tells, the sum must not overflow.
            let items = u32::try_from(*items).unwrap_or(u32::MAX);
            self.counters.lost(signal, Lost::Rejected, items as usize);
        }
        if self.partly.swap(*items > 0, Ordering::Relaxed) != (*items > 0) {
            // Only a change is logged.
            let signal = signal.as_str();
            if *items > 0 {
                tracing::warn!(items, "the collector does not take all {signal}; what it leaves is counted");
            } else {
                tracing::info!("the collector takes all {signal} again");
            }
        }
        if !message.is_empty() {
            tracing::debug!(message, signal = signal.as_str(), "the collector says");
        }
    }
}

/// No answer came. A retry may get one, unless TLS failed.
///
/// What the client and hyper say is told, and the errors of the operating system and of TLS. Errors of h2 are not: they
/// repeat what the other side wrote.
fn unreached(error: &(dyn Error + 'static)) -> Failure {
    let mut text = String::from("no answer");
    let mut again = Again::After(Duration::ZERO);
    for (depth, error) in sources(error).enumerate() {
        if depth < 2 || error.is::<std::io::Error>() || distrust(error) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ": {error}");
        }
        if distrust(error) {
            again = Again::Never;
        }
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
