//! One export: sends a message, retries it, and gives up at the deadline.

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

use super::answer::{Failure, Rejected, Retry, read_http};
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

/// The delay between two attempts, unless the collector asks for a longer one.
const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5));

/// Upper bound of the timeout: adding a longer one to an `Instant` may overflow.
const LONGEST_EXPORT: Duration = Duration::from_secs(24 * 3_600);

/// Maximum length of an answer that is read, in bytes.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The user agent, in the form of the specification: exporter, language, version.
const AGENT: &str = concat!("campanile-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Sends the messages of one signal to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) target: Target,
    connector: Connector,
    client: Mutex<Client>,
    closing: watch::Receiver<bool>,
    counters: Arc<Counters>,
    /// Whether the collector rejected items of the last export.
    rejecting: AtomicBool,
    /// A secret header that goes to another machine without TLS. `None` once the warning is logged.
    cleartext_header: Mutex<Option<HeaderName>>,
}

impl Sender {
    pub(super) fn new(
        mut target: Target,
        closing: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let connector = connector(&target)?;
        let cleartext_header = Mutex::new(target.cleartext_header().cloned());
        target.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let client = Mutex::new(client(&connector, &target));
        let rejecting = AtomicBool::new(false);
        Ok(Self { target, connector, client, closing, counters, rejecting, cleartext_header })
    }

    /// Sends a message, in parts if it is too large.
    pub(super) async fn send(&self, message: Bytes) -> OTelSdkResult {
        self.send_in_parts(message).await.map_err(|error| self.named(error))
    }

    async fn send_in_parts(&self, message: Bytes) -> OTelSdkResult {
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
                    let timed_out = matches!(error, OTelSdkError::Timeout(_));
                    failure = failure.or(Some(error));
                    // Each of the other parts would probably time out too.
                    if timed_out {
                        break;
                    }
                }
            }
        }
        lost += parts.map(|part| part.items).sum::<usize>();
        match failure {
            // The caller counts all items of a failed export.
            Some(error) if !sent => return Err(error),
            Some(error) => {
                self.counters.failed(self.target.signal);
                self.counters.dropped(self.target.signal, DropReason::ExportFailed, lost);
                let signal = self.target.signal.as_str();
                tracing::warn!(
                    error = %self.named(error),
                    lost,
                    "a message was too large for the collector and was sent in parts; some parts failed, and their \
                     {signal} are lost"
                );
            }
            None => {}
        }
        if too_large > 0 {
            self.counters.dropped(self.target.signal, DropReason::TooLarge, too_large);
        }
        Ok(())
    }

    async fn send_whole(&self, message: Bytes) -> OTelSdkResult {
        self.warn_about_cleartext_header();
        let limit = self.target.timeout;
        let deadline = Instant::now() + limit.min(LONGEST_EXPORT);
        let (headers, body) = self.headers_and_body(message);
        let mut closing = self.closing.clone();
        let mut delay = Duration::ZERO;
        for attempt in 0.. {
            let Ok(result) =
                timeout_at(deadline, self.try_once(headers.clone(), body.clone(), deadline)).await
            else {
                // The connection may be dead.
                *self.client.lock() = client(&self.connector, &self.target);
                return Err(OTelSdkError::Timeout(limit));
            };
            let failure = match result {
                Ok(rejected) => {
                    self.count_rejected(&rejected);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let Retry::After(asked) = failure.retry else { return Err(self.failed(&failure)) };
            delay = BACKOFF.delay(attempt, delay).max(asked);
            if deadline.saturating_duration_since(Instant::now()) <= delay {
                return Err(self.failed(&failure));
            }
            if timeout(delay, closing.wait_for(|closing| *closing)).await.is_ok() {
                return Err(self.failed(&failure));
            }
        }
        unreachable!("the loop ends at the deadline")
    }

    /// Warns once, with the first export: when the exporter is built, no subscriber logs yet.
    fn warn_about_cleartext_header(&self) {
        let Some(header) = self.cleartext_header.lock().take() else { return };
        tracing::warn!(
            header = header.as_str(),
            collector = self.target.origin(),
            "exporting {} sends a secret header to another machine without TLS; use an https: endpoint, or a collector \
             on this machine",
            self.target.signal.as_str()
        );
    }

    /// The headers and the body of a request for `message`.
    fn headers_and_body(&self, message: Bytes) -> (HeaderMap, Bytes) {
        let mut headers = self.target.headers.clone();
        let message = if self.target.gzip { gzip(&message) } else { message };
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            let body = grpc::frame(&mut headers, &message, self.target.gzip);
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
            grpc::set_timeout(&mut headers, deadline.saturating_duration_since(Instant::now()));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = headers;
        let client = self.client.lock().clone();
        let (head, body) = client.request(request).await.map_err(|error| no_answer(&error))?.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect();
        #[cfg(feature = "otlp-grpc")]
        if self.target.grpc {
            let body = body.await.map_err(|error| no_answer(&*error))?;
            let trailers = body.trailers().cloned();
            return grpc::read_grpc(head.status, &head.headers, trailers.as_ref(), &body.to_bytes());
        }
        // The status decides. If the body of a success breaks off, the collector has the items: no retry.
        let body = if head.status.is_success() { body.await.ok() } else { None };
        read_http(head.status, &head.headers, &body.map(|body| body.to_bytes()).unwrap_or_default())
    }

    /// An error that names the host of the collector only. Path and query may hold a secret.
    fn failed(&self, failure: &Failure) -> OTelSdkError {
        let collector = self.target.uri.authority().map_or("", |authority| authority.as_str());
        OTelSdkError::InternalFailure(format!("{collector}: {}", failure.text))
    }

    /// Names the collector in the error of a timeout, which has no text of its own.
    fn named(&self, error: OTelSdkError) -> OTelSdkError {
        match error {
            OTelSdkError::Timeout(limit) => {
                let text = format!("no answer within {limit:?} (`otlp_settings.timeout`)");
                self.failed(&Failure { text, retry: Retry::Never })
            }
            error => error,
        }
    }

    /// Counts rejected items, and logs when a collector begins or stops to reject items.
    fn count_rejected(&self, Rejected { items, message }: &Rejected) {
        let signal = self.target.signal;
        if *items > 0 {
            self.counters.failed(signal);
            // The collector may send any number. The sum must not overflow.
            let items = u32::try_from(*items).unwrap_or(u32::MAX);
            self.counters.dropped(signal, DropReason::Rejected, items as usize);
        }
        if self.rejecting.swap(*items > 0, Ordering::Relaxed) != (*items > 0) {
            let (signal, collector) = (signal.as_str(), self.target.origin());
            if *items > 0 {
                tracing::warn!(
                    collector,
                    items,
                    "the collector rejects some {signal}; they are lost and counted"
                );
            } else {
                tracing::info!(collector, "the collector accepts all {signal} again");
            }
        }
        if !message.is_empty() {
            tracing::debug!(
                collector = self.target.origin(),
                signal = signal.as_str(),
                message,
                "the collector sent a message with its response"
            );
        }
    }
}

/// Compresses at the fastest level. The default level takes twice the time and saves a tenth of the bytes.
fn gzip(message: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(message, Compression::fast());
    let mut packed = Vec::with_capacity(message.len() / 4);
    // Reading from a slice into a vector cannot fail.
    let _ = encoder.read_to_end(&mut packed);
    packed.into()
}

/// The failure of a request without an answer. It is retried, unless TLS failed.
///
/// The text holds the errors of the client, of hyper, of the operating system and of TLS. It does not hold those of h2,
/// which quote the peer.
fn no_answer(error: &(dyn Error + 'static)) -> Failure {
    let mut text = String::from("no answer");
    let mut retry = Retry::After(Duration::ZERO);
    for (depth, error) in sources(error).enumerate() {
        if depth < 2 || error.is::<std::io::Error>() || is_tls(error) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ": {error}");
        }
        if is_tls(error) {
            retry = Retry::Never;
        }
    }
    Failure { text, retry }
}

#[cfg(feature = "tls")]
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inside| inside.is::<rustls::Error>())
}

#[cfg(not(feature = "tls"))]
fn is_tls(_: &(dyn Error + 'static)) -> bool {
    false
}
