//! Asking an endpoint over HTTP.

mod judge;
mod settings;
mod statuses;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};
use tower::BoxError;

use self::judge::Judge;
pub use self::settings::{HttpCheckBuilder, HttpCheckMethod, HttpCheckSettings};
pub use self::statuses::Statuses;
use super::client::{Client, client, unanswered};
use super::endpoint::Endpoint;
use super::{Check, Finding, IntoFinding, words};
use crate::base::error::ConfigError;
use crate::base::redact::{RedactionSettings, Redactor, Treatment};
use crate::base::tls::is_in_clear;

/// Who asks.
const AGENT: &str = concat!("campanile/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Asks an endpoint over HTTP/1.1, and looks at the status and the body of its answer.
///
/// Every run makes a new connection and closes it: what it finds out is whether somebody who comes now is served,
/// names, certificates and the server's backlog included. Redirects are not followed. An answer is read to its end, up
/// to [a limit](HttpCheckSettings::longest_body): one that breaks off is none. What it took is judged by whoever wants
/// to, around it.
///
/// # Example
/// ```
/// use campanile::health::HttpCheck;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let simple = HttpCheck::new("http://search.internal:9200/")?;
/// let exact = HttpCheck::builder("http://search.internal:9200/_cluster/health")
///     .header("authorization", "ApiKey c2VhcmNo")
///     .statuses([200])
///     .json("/status", "green")
///     .timeout(Duration::from_secs(2))
///     .build()?;
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
    method: Method,
    headers: HeaderMap,
    judge: Judge,
    settings: HttpCheckSettings,
}

impl HttpCheck {
    /// Asks `url` by `GET`: a status from 200 to 299 is a good answer.
    ///
    /// # Errors
    /// When it is no URL that can be asked: see [`HttpCheckSettings::url`].
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// A check of `url`, to be set up.
    pub fn builder(url: impl Into<String>) -> HttpCheckBuilder {
        HttpCheckBuilder::new(url.into())
    }

    fn with_settings(settings: HttpCheckSettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        let endpoint = Endpoint::parse("url", &settings.url)?;
        let client = client(&endpoint, &settings.tls, false, settings.timeout)?;
        let method = match settings.method {
            HttpCheckMethod::Get => Method::GET,
            HttpCheckMethod::Head => Method::HEAD,
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &settings.headers {
            let Ok(key) = HeaderName::try_from(name) else {
                return Err(ConfigError::new("headers", format_args!("{name:?}"), "names of headers"));
            };
            let Ok(mut value) = HeaderValue::try_from(value) else {
                let allowed = format!("a value for `{name}` of visible letters");
                return Err(ConfigError::new("headers", "(not shown)", allowed));
            };
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        tell_in_clear(&endpoint, &headers);
        let judge = Judge::of(&settings);
        Ok(Self { inner: Arc::new(Inner { endpoint, client, method, headers, judge, settings }) })
    }
}

/// A header that is a secret by its name, and goes to another machine in clear, is told.
fn tell_in_clear(endpoint: &Endpoint, headers: &HeaderMap) {
    let Some(redactor) = is_in_clear(&endpoint.uri)
        .then(|| Redactor::from_settings(&RedactionSettings::default()).ok())
        .flatten()
    else {
        return;
    };
    if let Some(header) = headers.keys().find(|name| redactor.treatment(name.as_str()) != Treatment::Leave) {
        tracing::warn!(
            target: "campanile::health",
            header = header.as_str(),
            url = endpoint.shown,
            "a check sends a header that is a secret to another machine without TLS; use an https: address"
        );
    }
}

impl Inner {
    async fn ask(&self) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut request = Request::new(Empty::new());
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.endpoint.uri);
        request.headers_mut().clone_from(&self.headers);
        let Ok(answered) = timeout_at(deadline, self.client.request(request)).await else {
            return Err(format!("no answer within {:?}", self.settings.timeout));
        };
        let (status, body) = self.read(answered.map_err(|error| unanswered(&error))?, deadline).await?;
        self.judge.of_answer(status, &body)
    }

    /// Reads the status and the body of an answer to its end; a status that is not a good one says enough without it.
    async fn read<B>(&self, response: Response<B>, deadline: Instant) -> Result<(u16, Bytes), String>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        self.judge.of_status(status)?;
        let most = self.settings.longest_body;
        match timeout_at(deadline, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => Ok((status, body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(format!("status {status}, and a body of more than the {most} bytes that it may have"))
            }
            Ok(Err(error)) => {
                Err(format!("status {status}, and a body that breaks off: {}", words::causes(error.as_ref())))
            }
            Err(_) => {
                Err(format!("status {status}, and a body without an end within {:?}", self.settings.timeout))
            }
        }
    }
}

impl Check for HttpCheck {
    async fn check(&self) -> Finding {
        let Inner { method, endpoint, .. } = &*self.inner;
        let asked = self.inner.ask().await;
        asked.map_err(|why| format!("{method} {}: {why}", endpoint.shown)).into_finding()
    }
}
