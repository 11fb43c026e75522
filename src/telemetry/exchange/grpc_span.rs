//! The spans of gRPC calls.

use std::fmt::Display;

use http::request::Parts;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::address::Address;
use super::forwarded::Forwarded;
use super::http_span::peer;
use super::names::{Name, Names};
use super::shown::Shown;
use crate::telemetry::targets::GRPC;

/// The method of a call, as `package.Service/Method`.
pub(super) fn method(parts: &Parts) -> &str {
    parts.uri.path().trim_start_matches('/')
}

/// Without a `method`, it may not exist.
pub(super) fn of_server(
    names: &Names,
    name: &Name,
    parts: &Parts,
    method: Option<&str>,
    forwarded: Option<Forwarded<'_>>,
    correlation: Option<&str>,
) -> Span {
    let secrets = &names.core.secrets;
    let forwarded = forwarded.unwrap_or_default();
    let server = Some(forwarded.server).filter(|server| server.host.is_some());
    let server = server.unwrap_or_else(|| Address::of(&parts.uri, &parts.headers));
    let peer = peer(parts);
    let peer_ip = peer.map(|peer| peer.ip());
    let client = forwarded.client.as_ref().map(|client| client as &dyn Display);
    let client = client.or(peer_ip.as_ref().map(|ip| ip as &dyn Display));
    names.make(name, || {
        info_span!(
            target: GRPC,
            "grpc_server",
            otel.name = &*name.text,
            otel.kind = "server",
            otel.status_description = Empty,
            component = &*names.component,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.method_original = Empty,
            rpc.response.status_code = Empty,
            server.address = server.host,
            server.port = server.port_value(),
            client.address = client.map(display),
            network.peer.address = peer_ip.map(display),
            network.peer.port = peer.map(|peer| i64::from(peer.port())),
            error.type = Empty,
            correlation_id =
                correlation.map(|text| display(Shown { name: "correlation_id", text, secrets })),
        )
    })
}

pub(super) fn of_client(names: &Names, name: &Name, parts: &Parts) -> Span {
    let server = Address::of(&parts.uri, &parts.headers);
    let https = parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    let port = server.port.or_else(|| server.host.map(|_| if https { 443 } else { 80 }));
    names.make(name, || {
        info_span!(
            target: GRPC,
            "grpc_client",
            otel.name = &*name.text,
            otel.kind = "client",
            otel.status_description = Empty,
            component = &*names.component,
            rpc.system.name = "grpc",
            rpc.method = method(parts),
            rpc.response.status_code = Empty,
            server.address = server.host,
            server.port = port.map(i64::from),
            error.type = Empty,
        )
    })
}
