//! One export: sent, retried where that may help, and ended when its time is over.

use std::error::Error;
use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Again, Failure, Rejected, of_http};
use super::connect::{Client, client, connector};
#[cfg(feature = "otlp-grpc")]
use super::grpc;
use super::split::{Part, Parts, split};
use super::target::Target;
use crate::base::backoff::Backoff;
use crate::base::error::sources;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::tls::Connector;
use crate::telemetry::counters::{Counters, DropReason};
use crate::telemetry::error::TelemetryError;

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
    /// The name of a header that is a secret and goes to another machine in clear, until that was told.
    in_clear: Mutex<Option<HeaderName>>,
}

impl Sender {
    pub(super) fn new(
        mut target: Target,
        closing: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let connector = connector(&target)?;
        let in_clear = Mutex::new(target.in_clear().cloned());
        target.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let client = Mutex::new(client(&connector, &target));
        Ok(Self { target, connector, client, closing, counters, partly: AtomicBool::new(false), in_clear })
    }

    /// Sends a message, in parts if it is too large, on the runtime of this call.
    pub(super) async fn send(&self, message: Bytes) -> OTelSdkResult {
        if message.len() <= self.target.message_limit {
            return self.send_whole(message).await;
        }
        let Parts { parts, too_large } = split(&message, self.target.message_limit, self.target.signal)
            .map_err(|error| OTelSdkError::InternalFailure(format!("cannot split a message: {error}")))?;
        let (mut sent, mut lost, mut failure) = (false, 0, None);
        let mut parts = parts.into_iter();
        for Part { body, items } in parts.by_ref() {
            match self.send_whole(body).await {
                Ok(()) => sent = true,
                Err(error) => {
                    lost += items;
                    let hangs = matches!(error, OTelSdkError::Timeout(_));
                    failure = failure.or(Some(error));
                    // The other parts would wait as long, one after the other.
                    if hangs {
                        break;
                    }
                }
            }
        }
        lost += parts.map(|part| part.items).sum::<usize>();
        match failure {
            // Then the caller counts all of it.
            Some(error) if !sent => return Err(error),
            Some(error) => {
                self.counters.failed(self.target.signal);
                self.counters.dropped(self.target.signal, DropReason::ExportFailed, lost);
                tracing::warn!(%error, lost, "a part of the {} was not exported", self.target.signal.as_str());
            }
            None => {}
        }
        if too_large > 0 {
            self.counters.dropped(self.target.signal, DropReason::TooLarge, too_large);
        }
        Ok(())
    }

    async fn send_whole(&self, message: Bytes) -> OTelSdkResult {
        self.tell_in_clear();
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

    /// Here and not where it is built, when nothing logs yet.
    fn tell_in_clear(&self) {
        let Some(header) = self.in_clear.lock().take() else { return };
        tracing::warn!(
            header = header.as_str(),
            collector = self.target.origin(),
            "the {} are sent without TLS to another machine, with a header that is a secret; use an https: endpoint, or \
             a collector next to the service",
            self.target.signal.as_str()
        );
    }

    /// The headers and the body of a request with this message.
    fn parts(&self, message: Bytes) -> (HeaderMap, Bytes) {
        let mut headers = self.target.headers.clone();
        let message = if self.target.gzip { gzip(&message) } else { message };
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            let body = grpc::call(&mut headers, &message, self.target.gzip);
            return (headers, body);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.remove(CONTENT_ENCODING);
        if self.target.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (headers, message)
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
            self.counters.dropped(signal, DropReason::Rejected, items as usize);
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

/// In the fastest way: a better one costs twice the time for a tenth of the bytes.
fn gzip(message: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(message, Compression::fast());
    let mut packed = Vec::with_capacity(message.len() / 4);
    // Reading from a slice into a vector cannot fail.
    let _ = encoder.read_to_end(&mut packed);
    packed.into()
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
