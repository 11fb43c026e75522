//! Connections to a collector.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::target::Target;
use crate::telemetry::error::TelemetryError;
#[cfg(feature = "tls")]
use crate::tls;

/// Sends requests; clones share connections.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    #[cfg(feature = "tls")]
    Tls(legacy::Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// More of an answer than a collector has to say.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Idle connections are closed after this time.
const IDLE: Duration = Duration::from_secs(90);

/// Makes clients that share nothing.
#[derive(Clone, Debug)]
pub(super) struct Connect {
    #[cfg(feature = "otlp-grpc")]
    grpc: bool,
    connector: HttpConnector,
    #[cfg(feature = "tls")]
    tls: Option<hyper_rustls::HttpsConnector<HttpConnector>>,
}

impl Connect {
    pub(super) fn to(target: &Target) -> Result<Self, TelemetryError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(target.timeout));
        Ok(Self {
            #[cfg(feature = "otlp-grpc")]
            grpc: target.grpc,
            #[cfg(feature = "tls")]
            tls: if target.uri.scheme_str() == Some("https") {
                Some(secure(target, connector.clone())?)
            } else {
                None
            },
            connector,
        })
    }

    pub(super) fn client(&self) -> Client {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        #[cfg(feature = "otlp-grpc")]
        builder.http2_only(self.grpc);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Client::Tls(builder.build(tls.clone()));
        }
        Client::Plain(builder.build(self.connector.clone()))
    }
}

/// What came back, as a whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    #[cfg(feature = "otlp-grpc")]
    pub(super) trailers: Option<HeaderMap>,
}

#[cfg(feature = "tls")]
fn secure(
    target: &Target,
    connector: HttpConnector,
) -> Result<hyper_rustls::HttpsConnector<HttpConnector>, TelemetryError> {
    let failed = |reason| TelemetryError::Exporter {
        signal: target.signal.as_str(),
        endpoint: target.origin(),
        reason,
    };
    tls::connector(&target.certificates, target.grpc, connector).map_err(|fault| match fault {
        tls::Fault::Setting(error) => error.into(),
        tls::Fault::Other(reason) => failed(reason),
        tls::Fault::NoAuthority(why) => failed(format!(
            "this machine trusts no certificate authority: OTEL_EXPORTER_OTLP_CERTIFICATE names a file with those to \
             trust ({why})"
        )),
    })
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Client {
    /// Must be called on a runtime.
    pub(super) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        match self {
            Self::Plain(client) => whole(client.request(request).await?).await,
            #[cfg(feature = "tls")]
            Self::Tls(client) => whole(client.request(request).await?).await,
        }
    }
}

async fn whole<B>(response: Response<B>) -> Result<Answer, BoxError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        #[cfg(feature = "otlp-grpc")]
        trailers: body.trailers().cloned(),
        body: body.to_bytes(),
    })
}
