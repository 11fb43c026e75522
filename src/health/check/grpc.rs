//! Asking a server how it is by the health protocol of gRPC.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::{Client, client, unanswered};
use super::endpoint::Endpoint;
use super::words::short;
use super::{Check, Finding, IntoFinding, patience};
use crate::base::error::{ConfigError, find_cause};
use crate::base::tls::TlsSettings;

/// More than an answer has: one number.
const LONGEST_ANSWER: usize = 4_096;

/// Whom a [`GrpcCheck`] asks, and about what, as a file can hold it. Unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GrpcCheckSettings {
    /// Where the server is: `http://host:port`, or `https:` with the feature `tls`. Has to be set.
    pub url: String,
    /// The service to ask about, such as `shop.v1.Orders`. Default: none, which asks about the server as a whole.
    pub service: String,
    /// How long all of it may take: more than zero and at most an hour. Default 4 s, less than what
    /// [`Every`](super::Every) gives a run, so that what is told names what took so long.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// TLS of the connection, for `https:`.
    pub tls: TlsSettings,
}

impl Default for GrpcCheckSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            service: String::new(),
            timeout: patience::DEFAULT,
            tls: TlsSettings::default(),
        }
    }
}

impl fmt::Debug for GrpcCheckSettings {
    /// Without the URL, which may hold a password that is refused later.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCheckSettings")
            .field("service", &self.service)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Makes a [`GrpcCheck`]: see [`GrpcCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GrpcCheckBuilder {
    settings: GrpcCheckSettings,
}

/// Asks a gRPC server by `grpc.health.v1.Health/Check` whether it serves.
///
/// Only `SERVING` is well. Every run makes a new connection and closes it, like that of an
/// [`HttpCheck`](super::HttpCheck).
///
/// # Example
/// ```
/// use campanile::health::GrpcCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let server = GrpcCheck::new("http://orders.internal:50051")?;
/// let service = GrpcCheck::builder("http://orders.internal:50051").service("shop.v1.Orders").build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GrpcCheck {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    client: Client<Body>,
    settings: GrpcCheckSettings,
}

impl GrpcCheck {
    /// Asks the server at `url` about itself as a whole.
    ///
    /// # Errors
    /// When it is no URL that can be asked: see [`GrpcCheckSettings::url`].
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// A check of the server at `url`, to be set up.
    pub fn builder(url: impl Into<String>) -> GrpcCheckBuilder {
        GrpcCheckBuilder { settings: GrpcCheckSettings { url: url.into(), ..GrpcCheckSettings::default() } }
    }
}

impl Inner {
    async fn ask(&self) -> Result<(), String> {
        let limit = self.settings.timeout;
        let mut client = HealthClient::with_origin(self.client.clone(), self.endpoint.uri.clone())
            .max_decoding_message_size(LONGEST_ANSWER);
        let request = HealthCheckRequest { service: self.settings.service.clone() };
        let asked = timeout(limit, client.check(request)).await;
        match asked.map(|answered| answered.map(|answer| answer.into_inner().status())) {
            Ok(Ok(ServingStatus::Serving)) => Ok(()),
            Ok(Ok(ServingStatus::NotServing)) => {
                Err("it says that it does not serve (NOT_SERVING)".to_owned())
            }
            Ok(Ok(ServingStatus::ServiceUnknown)) => Err(unknown("SERVICE_UNKNOWN")),
            Ok(Ok(ServingStatus::Unknown)) => Err("it does not know whether it serves (UNKNOWN)".to_owned()),
            Ok(Err(status)) => Err(explain(&status)),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }
}

/// What a failed call means for the one who reads it.
fn explain(status: &Status) -> String {
    use std::error::Error;

    match status.code() {
        Code::NotFound => unknown("NOT_FOUND"),
        Code::Unimplemented => {
            "the server does not speak `grpc.health.v1` (UNIMPLEMENTED): add its health service".to_owned()
        }
        // Where there was no answer, these are the words of our own client.
        _ => match status.source().and_then(find_cause::<legacy::Error>) {
            Some(error) => unanswered(error),
            None => short(&format!("status {:?}: {}", status.code(), status.message())),
        },
    }
}

fn unknown(word: &str) -> String {
    format!("the server has no such service ({word}): look for its name in its `.proto`")
}

impl Check for GrpcCheck {
    async fn check(&self) -> Finding {
        let (at, service) = (&self.inner.endpoint.shown, &self.inner.settings.service);
        let about = if service.is_empty() { String::new() } else { format!(" about `{service}`") };
        self.inner.ask().await.map_err(|why| format!("{at}{about}: {why}")).into_finding()
    }
}

impl GrpcCheckBuilder {
    setters! {
        /// Takes all settings from `settings`, the URL too.
        pub fn settings(settings: GrpcCheckSettings) { settings = settings; }
        /// Asks about this service.
        pub fn service(service: impl Into<String>) { settings.service = service.into(); }
        /// How long all of it may take, 4 s unless set.
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
        /// Sets up TLS, for `https:`.
        pub fn tls(tls: TlsSettings) { settings.tls = tls; }
    }

    /// The check.
    ///
    /// # Errors
    /// When a setting is out of its range, the URL is none that can be asked, or a file cannot be read.
    pub fn build(self) -> Result<GrpcCheck, ConfigError> {
        let settings = self.settings;
        patience::validate(settings.timeout)?;
        let endpoint = Endpoint::parse("url", &settings.url)?;
        let path = endpoint.uri.path_and_query().map_or("", |path| path.as_str());
        if !matches!(path, "" | "/") {
            return Err(ConfigError::new(
                "url",
                endpoint.shown,
                "an address without a path: gRPC has its own",
            ));
        }
        let client = client(&endpoint, &settings.tls, true, settings.timeout)?;
        Ok(GrpcCheck { inner: Arc::new(Inner { endpoint, client, settings }) })
    }
}
