use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};
use tower::BoxError;

use super::super::check_trait::Check;
use super::super::client::{Client, client, request_error};
use super::super::endpoint::Endpoint;
use super::super::finding::Finding;
use super::super::run_scope::measure;
use super::super::text::error_chain;
use super::expectation::Expectation;
use super::settings::HttpCheckSettings;
use crate::base::error::ConfigError;
use crate::base::tls::cleartext_header;

const AGENT: &str = concat!("campanile/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Sends an HTTP/1.1 request to an endpoint and verifies the status and the body of the response.
///
/// Each run opens a new connection and closes it, so that it tests whether a new client is served: name resolution,
/// certificates and the server's backlog included. Redirects are not followed. The body is read to its end, up to
/// [a limit](HttpCheckSettings::longest_body); a body that breaks off fails.
///
/// [`Every::warn_after`](super::super::Every::warn_after) and [`Every::fail_after`](super::super::Every::fail_after) limit
/// the response time: above the first the component is degraded, above the second the check fails. Response times are in
/// `campanile.health.check.duration`, statuses in `campanile.health.check.responses`.
///
/// # Example
/// ```
/// use campanile::health::{Every, Health, HttpCheck};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// let simple = HttpCheck::builder("http://search.internal:9200/").build()?;
/// let exact = HttpCheck::builder("http://search.internal:9200/_cluster/health")
///     .header("authorization", "ApiKey c2VhcmNo")
///     .statuses([200])
///     .json("/status", "green")
///     .timeout(Duration::from_secs(2))
///     .build()?;
///
/// let every = Every::seconds(30).warn_after(Duration::from_millis(300)).fail_after(Duration::from_secs(1));
/// Health::standalone().check("search", every, exact)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpCheck {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    client: Client<Empty<Bytes>>,
    headers: HeaderMap,
    expectation: Expectation,
    settings: HttpCheckSettings,
}

impl HttpCheck {
    /// Starts a check of the endpoint at `url`. Unless set otherwise, it sends a `GET` and passes on a status from 200 to
    /// 299.
    pub fn builder(url: impl Into<String>) -> HttpCheckSettings {
        HttpCheckSettings { url: url.into(), ..HttpCheckSettings::default() }
    }

    /// Makes the check that `settings` describe.
    ///
    /// # Errors
    /// When a setting is out of its range, the URL cannot be used, or a file cannot be read. The error names the setting.
    pub fn from_settings(settings: &HttpCheckSettings) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse("url", &settings.url)?;
        Self::at(endpoint.clone(), settings).map_err(|error| error.of("the check of", &endpoint.shown))
    }

    fn at(endpoint: Endpoint, settings: &HttpCheckSettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        let client = client(&endpoint, &settings.tls, false, settings.timeout)?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &settings.headers {
            let Ok(key) = HeaderName::try_from(name) else {
                return Err(ConfigError::new("headers", format_args!("{name:?}"), "names of HTTP headers"));
            };
            let Ok(mut value) = HeaderValue::try_from(value) else {
                let allowed = format!("visible characters in the value of `{name}`");
                return Err(ConfigError::new("headers", "(not shown)", allowed));
            };
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        warn_of_secret_in_clear(&endpoint, &headers);
        let (expectation, settings) = (Expectation::new(settings), settings.clone());
        Ok(Self { inner: Arc::new(Inner { endpoint, client, headers, expectation, settings }) })
    }
}

impl HttpCheckSettings {
    /// Makes the check: see [`HttpCheck::from_settings`].
    ///
    /// # Errors
    /// As [`HttpCheck::from_settings`].
    pub fn build(self) -> Result<HttpCheck, ConfigError> {
        HttpCheck::from_settings(&self)
    }
}

/// Logs a header whose name says that it is a secret, and which goes to another machine without TLS.
fn warn_of_secret_in_clear(endpoint: &Endpoint, headers: &HeaderMap) {
    if let Some(header) = cleartext_header(&endpoint.uri, headers) {
        tracing::warn!(
            target: "campanile::health",
            header = header.as_str(),
            url = endpoint.shown,
            "a check sends a secret header to another machine without TLS: use an `https:` URL"
        );
    }
}

impl Inner {
    async fn request(&self) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut request = Request::new(Empty::new());
        request.method_mut().clone_from(&self.settings.method);
        request.uri_mut().clone_from(&self.endpoint.uri);
        request.headers_mut().clone_from(&self.headers);
        let Ok(response) = timeout_at(deadline, self.client.request(request)).await else {
            return Err(format!("no answer within {:?}", self.settings.timeout));
        };
        let response = response.map_err(|error| request_error(&error))?;
        let status = response.status().as_u16();
        measure(|measured| measured.response(status));
        // The body of an unexpected status is not read: the status says enough.
        self.expectation.verify_status(status)?;
        let body = self.read_body(status, response, deadline).await?;
        self.expectation.verify_body(status, &body)
    }

    async fn read_body<B>(
        &self,
        status: u16,
        response: Response<B>,
        deadline: Instant,
    ) -> Result<Bytes, String>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let limit = self.settings.longest_body;
        match timeout_at(deadline, Limited::new(response.into_body(), limit).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(format!("status {status}, but its body is longer than {limit} bytes (`longest_body`)"))
            }
            Ok(Err(error)) => {
                Err(format!("status {status}, but its body broke off: {}", error_chain(error.as_ref())))
            }
            Err(_) => {
                Err(format!("status {status}, but its body did not end within {:?}", self.settings.timeout))
            }
        }
    }
}

impl Check for HttpCheck {
    async fn check(&self) -> Finding {
        let Inner { endpoint, settings, .. } = &*self.inner;
        let result = self.inner.request().await;
        result.map_err(|reason| format!("{} {}: {reason}", settings.method, endpoint.shown)).into()
    }
}
