//! Checks of gRPC servers by the gRPC health protocol.

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

use super::check_trait::Check;
use super::client::{Client, client, request_error};
use super::endpoint::Endpoint;
use super::finding::Finding;
use super::text::one_line;
use super::timeouts;
use crate::base::error::{ConfigError, find_cause};
use crate::base::tls::TlsSettings;

/// A response holds one number.
const MAX_RESPONSE: usize = 4_096;

/// The settings of a [`GrpcCheck`], as a file can hold them. Unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct GrpcCheckSettings {
    /// The server: `http://host:port`, or `https:` with the feature `tls`. Required.
    pub url: String,
    /// The service to ask for, such as `shop.v1.Orders`. Default: empty, which asks for the server as a whole.
    pub service: String,
    /// The longest time that the whole request may take: more than zero and at most an hour. Default: 4 s.
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
            timeout: timeouts::DEFAULT,
            tls: TlsSettings::default(),
        }
    }
}

impl fmt::Debug for GrpcCheckSettings {
    /// Omits the URL, which may hold a password that `build` refuses later.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCheckSettings")
            .field("service", &self.service)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Asks a gRPC server by `grpc.health.v1.Health/Check` whether it serves.
///
/// Only `SERVING` passes. Each run opens a new connection and closes it, as an [`HttpCheck`](super::HttpCheck) does.
///
/// # Example
/// ```
/// use campanile::health::GrpcCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let server = GrpcCheck::builder("http://orders.internal:50051").build()?;
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
    /// Starts a check of the server at `url`: `http://host:port`, or `https:` with the feature `tls`.
    pub fn builder(url: impl Into<String>) -> GrpcCheckSettings {
        GrpcCheckSettings { url: url.into(), ..GrpcCheckSettings::default() }
    }

    /// Makes the check that `settings` describe.
    ///
    /// # Errors
    /// When a setting is out of its range, the URL cannot be used, or a file cannot be read. The error names the setting.
    pub fn from_settings(settings: &GrpcCheckSettings) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse("url", &settings.url)?;
        let of_check = |error: ConfigError| error.of("the check of", &endpoint.shown);
        timeouts::validate(settings.timeout).map_err(of_check)?;
        let path = endpoint.uri.path_and_query().map_or("", |path| path.as_str());
        if !matches!(path, "" | "/") {
            return Err(ConfigError::new("url", endpoint.shown, "a URL without a path: gRPC sets the path"));
        }
        let client = client(&endpoint, &settings.tls, true, settings.timeout).map_err(of_check)?;
        Ok(Self { inner: Arc::new(Inner { endpoint, client, settings: settings.clone() }) })
    }
}

impl GrpcCheckSettings {
    setters! {
        /// Asks for this service: see the field [`service`](Self::service).
        pub fn service(service: impl Into<String>) { service = service.into(); }
        /// Sets the field [`timeout`](Self::timeout).
        pub fn timeout(timeout: Duration) { timeout = timeout; }
        /// Sets up TLS, for `https:`.
        pub fn tls(tls: TlsSettings) { tls = tls; }
    }

    /// Makes the check: see [`GrpcCheck::from_settings`].
    ///
    /// # Errors
    /// As [`GrpcCheck::from_settings`].
    pub fn build(self) -> Result<GrpcCheck, ConfigError> {
        GrpcCheck::from_settings(&self)
    }
}

impl Inner {
    async fn request(&self) -> Result<(), String> {
        let limit = self.settings.timeout;
        let mut client = HealthClient::with_origin(self.client.clone(), self.endpoint.uri.clone())
            .max_decoding_message_size(MAX_RESPONSE);
        let request = HealthCheckRequest { service: self.settings.service.clone() };
        let response = timeout(limit, client.check(request)).await;
        match response.map(|result| result.map(|response| response.into_inner().status())) {
            Ok(Ok(ServingStatus::Serving)) => Ok(()),
            Ok(Ok(ServingStatus::ServiceUnknown)) => Err(unknown_service("SERVICE_UNKNOWN")),
            Ok(Ok(status)) => Err(format!("the server reports {}", status.as_str_name())),
            Ok(Err(status)) => Err(explain(&status)),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }
}

/// What the status of a failed call means, and what to do.
fn explain(status: &Status) -> String {
    use std::error::Error;

    match status.code() {
        Code::NotFound => unknown_service("NOT_FOUND"),
        Code::Unimplemented => {
            "the server does not implement `grpc.health.v1` (UNIMPLEMENTED): add its health service"
                .to_owned()
        }
        // Without an answer, the status is one that our own client made.
        _ => match status.source().and_then(find_cause::<legacy::Error>) {
            Some(error) => request_error(error),
            None => one_line(&format!("status {:?}: {}", status.code(), status.message())),
        },
    }
}

fn unknown_service(code: &str) -> String {
    format!("the server has no such service ({code}): use the full name from its `.proto` file")
}

impl Check for GrpcCheck {
    async fn check(&self) -> Finding {
        let (url, service) = (&self.inner.endpoint.shown, &self.inner.settings.service);
        let service = if service.is_empty() { String::new() } else { format!(", service `{service}`") };
        self.inner.request().await.map_err(|reason| format!("{url}{service}: {reason}")).into()
    }
}
