//! The spans of HTTP requests.

use std::fmt::Display;

use http::request::Parts;
use http::{HeaderMap, header};
use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use super::address::Address;
use super::forwarded::Forwarded;
use super::names::{Name, Names};
use super::shown::{Shown, ShownUrl};
use crate::base::conventions::{METHODS, method_name, original_uri, scheme_name, version_name};
use crate::base::outcome::content_length;
use crate::telemetry::targets::HTTP;

/// What a layer knows about a request.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The index of the method.
    pub(super) method: u8,
    /// The matched route of a server, or the template of a client's URL.
    pub(super) route: Option<&'a str>,
    /// Servers: what proxies say, if they are trusted.
    pub(super) forwarded: Option<Forwarded<'a>>,
    /// Servers: the correlation id.
    pub(super) correlation: Option<&'a str>,
    /// Clients: how often the request was sent before.
    pub(super) resend: Option<i64>,
}

/// The method of the request, if the convention does not know it.
fn original(parts: &Parts, method: u8) -> Option<&str> {
    (usize::from(method) >= METHODS.len()).then(|| parts.method.as_str())
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT)?.to_str().ok()
}

fn is_https(parts: &Parts) -> bool {
    parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS)
}

/// The address of the connection, if axum knows it.
#[cfg(feature = "axum")]
pub(super) fn peer(parts: &Parts) -> Option<std::net::SocketAddr> {
    parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>().map(|info| info.0)
}

/// The address of the connection: axum knows it, with the feature `axum`.
#[cfg(not(feature = "axum"))]
pub(super) fn peer(_: &Parts) -> Option<std::net::SocketAddr> {
    None
}

#[inline]
pub(super) fn of_server(names: &Names, name: &Name, parts: &Parts, known: Known<'_>) -> Span {
    let Known { method, route, forwarded, correlation, .. } = known;
    let (headers, secrets) = (&parts.headers, &names.core.secrets);
    let uri = original_uri(&parts.extensions).unwrap_or(&parts.uri);
    let forwarded = forwarded.unwrap_or_default();
    let server = Some(forwarded.server).filter(|server| server.host.is_some());
    let server = server.unwrap_or_else(|| Address::of(uri, headers));
    let peer = peer(parts);
    let peer_ip = peer.map(|peer| peer.ip());
    let client = forwarded.client.as_ref().map(|client| client as &dyn Display);
    let client = client.or(peer_ip.as_ref().map(|ip| ip as &dyn Display));
    let shown = |name, text| display(Shown { name, text, secrets });
    names.make(name, || {
        info_span!(
            target: HTTP,
            "http_server",
            // Those that are searched for at the end come first.
            http.response.status_code = Empty,
            http.response.body.size = Empty,
            error.type = Empty,
            otel.name = &*name.text,
            otel.kind = "server",
            otel.status_description = Empty,
            component = &*names.component,
            http.request.method = method_name(method),
            http.request.method_original = original(parts, method),
            http.route = route,
            url.path = shown("url.path", uri.path()),
            url.query = uri.query().map(|query| shown("url.query", query)),
            url.scheme = scheme_name(forwarded.https.unwrap_or_else(|| is_https(parts))),
            server.address = server.host,
            server.port = server.port_value(),
            client.address = client.map(display),
            network.peer.address = peer_ip.map(display),
            network.peer.port = peer.map(|peer| i64::from(peer.port())),
            network.protocol.version = version_name(parts.version),
            user_agent.original = user_agent(headers),
            http.request.body.size = content_length(headers),
            correlation_id = correlation.map(|id| shown("correlation_id", id)),
        )
    })
}

#[inline]
pub(super) fn of_client(names: &Names, name: &Name, parts: &Parts, known: Known<'_>) -> Span {
    let Known { method, route, resend, .. } = known;
    let (uri, headers, secrets) = (&parts.uri, &parts.headers, &names.core.secrets);
    let https = is_https(parts);
    let server = Address::of(uri, headers);
    let port = server.port.or_else(|| server.host.map(|_| if https { 443 } else { 80 }));
    names.make(name, || {
        info_span!(
            target: HTTP,
            "http_client",
            // Those that are searched for at the end come first.
            http.response.status_code = Empty,
            http.response.body.size = Empty,
            error.type = Empty,
            otel.name = &*name.text,
            otel.kind = "client",
            otel.status_description = Empty,
            component = &*names.component,
            http.request.method = method_name(method),
            http.request.method_original = original(parts, method),
            url.full = display(ShownUrl { uri, secrets }),
            url.template = route,
            url.scheme = uri.scheme_str(),
            server.address = server.host,
            server.port = port.map(i64::from),
            network.protocol.version = Empty,
            user_agent.original = user_agent(headers),
            http.request.body.size = content_length(headers),
            http.request.resend_count = resend,
        )
    })
}
