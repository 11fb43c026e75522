//! A minimal HTTP client for tests.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// Sends a `GET` request and returns the status and the text of the answer.
///
/// # Errors
///
/// If the answer is missing, incomplete or not UTF-8.
pub async fn get(uri: &str) -> Result<(StatusCode, String), String> {
    send(Request::get(uri).body(Full::default()).map_err(|error| format!("{uri}: {error}"))?).await
}

/// Sends a `POST` request and returns the status and the text of the answer.
///
/// # Errors
///
/// As for [`get`].
pub async fn post(uri: &str, content_type: &str, body: String) -> Result<(StatusCode, String), String> {
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::from(body))
        .map_err(|error| format!("{uri}: {error}"))?;
    send(request).await
}

async fn send(request: Request<Full<Bytes>>) -> Result<(StatusCode, String), String> {
    let uri = request.uri().clone();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| format!("{uri}: {error}"))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| format!("{uri}: {error}"))?;
    let text = String::from_utf8(body.to_bytes().into()).map_err(|error| format!("{uri}: {error}"))?;
    Ok((status, text))
}
