//! The facts of a call over HTTP or gRPC, and the attributes of its metrics.

use std::borrow::Cow;

use http::request::Parts as RequestParts;
use http::response::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Version};

use crate::base::conventions::{OTHER, method_index, method_name, scheme_name, version_name};
use crate::base::outcome::{FailureKind, GRPC_CODES, Outcome};
use crate::signal::{self, DurationRecorder};

/// The kind of call. The convention has a metric for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    HttpServer,
    HttpClient,
    RpcServer,
    RpcClient,
}

/// The facts of one call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) side: Side,
    /// The index in [`METHODS`], or one past it.
    method: u8,
    https: bool,
    subject: Subject,
    /// On a client: the server, if the request names it.
    server: Option<Authority>,
    /// HTTP: the version of the request on a server, of the response on a client.
    version: Option<Version>,
    /// HTTP: the status. gRPC: one more than the code, so that 0 is none.
    status: u16,
}

/// The route or method. The path shares the request's bytes: a copy would cost each call an allocation.
#[derive(Debug)]
enum Subject {
    Unknown,
    /// The matched route of an HTTP server.
    Route(String),
    /// The method of a gRPC call.
    Path(PathAndQuery),
}

const VERSION: &str = "network.protocol.version";

/// The status of a gRPC call that succeeded: one more than its code.
const OK: u16 = 1;

/// A longer name is counted as `_OTHER`, which bounds the memory of the tables. In bytes.
const LONGEST: usize = 1_024;

/// `name`, or `_OTHER` if it is too long.
fn bounded(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(if name.len() <= LONGEST { name } else { OTHER })
}

impl Call {
    pub(super) fn new(side: Side, request: &RequestParts, route: Option<String>) -> Self {
        let https = request.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let subject = match side {
            Side::HttpServer => route.map(Subject::Route),
            Side::HttpClient => None,
            Side::RpcServer | Side::RpcClient => request.uri.path_and_query().cloned().map(Subject::Path),
        };
        let server = match side {
            Side::HttpClient | Side::RpcClient => request.uri.authority().cloned(),
            Side::HttpServer | Side::RpcServer => None,
        };
        Self {
            side,
            method: method_index(&request.method),
            https,
            subject: subject.unwrap_or(Subject::Unknown),
            server,
            version: (side == Side::HttpServer).then_some(request.version),
            status: 0,
        }
    }

    /// Reads the head of the response.
    pub(super) fn head(&mut self, head: &Parts) {
        match self.side {
            Side::HttpServer => self.status = head.status.as_u16(),
            Side::HttpClient => {
                self.status = head.status.as_u16();
                self.version = Some(head.version);
            }
            Side::RpcServer | Side::RpcClient => self.trailers(&head.headers),
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if matches!(self.side, Side::RpcServer | Side::RpcClient)
            && let Some(value) = trailers.get("grpc-status")
        {
            let code: Option<u16> = value.to_str().ok().and_then(|text| text.parse().ok());
            self.status = code.filter(|code| *code <= 16).unwrap_or(2) + 1;
        }
    }

    fn subject(&self) -> Option<&str> {
        match &self.subject {
            Subject::Unknown => None,
            Subject::Route(route) => Some(route),
            Subject::Path(path) => Some(path.path().trim_start_matches('/')),
        }
    }

    /// The key in the table of active requests.
    pub(super) fn target(&self) -> Target<'_> {
        let port = self
            .server
            .as_ref()
            .map_or(0, |server| server.port_u16().unwrap_or(if self.https { 443 } else { 80 }));
        let server = self.server.as_ref().map(|server| bounded(server.host()));
        Target { method: self.method, https: self.https, server, port }
    }

    pub(super) fn key(&self, outcome: Outcome) -> Key<'_> {
        Key {
            side: self.side,
            target: self.target(),
            subject: self.subject().map(bounded),
            version: self.version,
            status: self.status,
            failure: outcome.failure().map(FailureKind::as_str),
        }
    }
}

/// Scheme, method and server of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target<'a> {
    pub(super) method: u8,
    pub(super) https: bool,
    /// The server, on a client.
    pub(super) server: Option<Cow<'a, str>>,
    /// 0 without a server, and for servers beyond the bound.
    pub(super) port: u16,
}

impl Target<'_> {
    pub(super) fn into_owned(self) -> Target<'static> {
        Target { server: self.server.map(|server| Cow::Owned(server.into_owned())), ..self }
    }

    /// The server of all requests beyond the bound.
    pub(super) fn other(self) -> Self {
        Self { server: self.server.map(|_| OTHER.into()), port: 0, ..self }
    }

    pub(super) fn method(&self) -> &'static str {
        method_name(self.method)
    }

    pub(super) fn scheme(&self) -> &'static str {
        scheme_name(self.https)
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute> {
        let server = self.server.as_ref().map(|server| ("server.address", Cow::Owned(server.to_string())));
        let port = (self.port != 0).then(|| ("server.port", self.port.to_string().into()));
        server.into_iter().chain(port)
    }
}

type Attribute = (&'static str, Cow<'static, str>);

/// A combination of attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub(super) side: Side,
    pub(super) target: Target<'a>,
    subject: Option<Cow<'a, str>>,
    version: Option<Version>,
    status: u16,
    failure: Option<&'static str>,
}

impl Key<'_> {
    /// The method of a gRPC server, and whether the call succeeded. Any caller can make up a method.
    pub(super) fn served_method(&self) -> Option<(&str, bool)> {
        let method = self.subject.as_deref().filter(|_| self.side == Side::RpcServer)?;
        Some((method, self.status == OK))
    }

    pub(super) fn into_owned(self) -> Key<'static> {
        let subject = self.subject.map(|subject| Cow::Owned(subject.into_owned()));
        Key { subject, target: self.target.into_owned(), ..self }
    }

    /// The combination of all calls beyond the bound.
    pub(super) fn other(self) -> Self {
        let subject = if self.side == Side::HttpClient { None } else { Some(OTHER.into()) };
        Self { subject, target: self.target.other(), ..self }
    }

    pub(super) fn recorder(&self) -> DurationRecorder {
        let mut attributes: Vec<Attribute> = Vec::with_capacity(8);
        let subject = self.subject.as_ref().map(|subject| Cow::Owned(subject.to_string()));
        let metric = match self.side {
            Side::HttpServer | Side::HttpClient => {
                attributes.push(("http.request.method", self.target.method().into()));
                attributes.push(("url.scheme", self.target.scheme().into()));
                if self.status != 0 {
                    attributes.push(("http.response.status_code", self.status.to_string().into()));
                }
                attributes.extend(self.version.and_then(version_name).map(|name| (VERSION, name.into())));
                attributes.extend(subject.map(|route| ("http.route", route)));
                if self.side == Side::HttpServer {
                    &signal::HTTP_SERVER_DURATION
                } else {
                    &signal::HTTP_CLIENT_DURATION
                }
            }
            Side::RpcServer | Side::RpcClient => {
                attributes.push(("rpc.system.name", "grpc".into()));
                attributes.extend(subject.map(|method| ("rpc.method", method)));
                attributes.extend(self.code().map(|code| ("rpc.response.status_code", code.into())));
                if self.side == Side::RpcServer {
                    &signal::RPC_SERVER_DURATION
                } else {
                    &signal::RPC_CLIENT_DURATION
                }
            }
        };
        attributes.extend(self.target.attributes());
        attributes.extend(self.error_type().map(|error| ("error.type", error)));
        DurationRecorder::new(metric, attributes)
    }

    fn code(&self) -> Option<&'static str> {
        usize::from(self.status).checked_sub(1).and_then(|code| GRPC_CODES.get(code)).copied()
    }

    /// By the convention: the status if it is an error, otherwise the kind of failure. For a client, every status from 400
    /// on and every code except OK is an error.
    pub(super) fn error_type(&self) -> Option<Cow<'static, str>> {
        let failed = self.failure.is_some();
        match self.side {
            Side::HttpClient if self.status >= 400 => return Some(self.status.to_string().into()),
            Side::HttpServer if failed && self.status >= 400 => return Some(self.status.to_string().into()),
            Side::RpcClient if self.status > 1 => return self.code().map(Cow::Borrowed),
            Side::RpcServer if failed && self.status > 1 => return self.code().map(Cow::Borrowed),
            _ => {}
        }
        self.failure.map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn call(side: Side, uri: &str) -> Call {
        Call::new(side, &Request::get(uri).body(()).unwrap().into_parts().0, None)
    }

    /// The `error.type` by the convention.
    fn error(side: Side, status: u16, outcome: Outcome) -> Option<String> {
        let call = Call { status, ..call(side, "/") };
        call.key(outcome).error_type().map(Cow::into_owned)
    }

    #[test]
    fn the_error_type_is_the_status_if_it_is_an_error() {
        let failed = |side, status| error(side, status, Outcome::Failure(FailureKind::Timeout));
        assert_eq!(failed(Side::HttpServer, 504).as_deref(), Some("504"));
        assert_eq!(failed(Side::HttpServer, 200).as_deref(), Some("timeout"));
        assert_eq!(failed(Side::HttpClient, 0).as_deref(), Some("timeout"));
        assert_eq!(failed(Side::RpcServer, 0).as_deref(), Some("timeout"));
        assert_eq!(failed(Side::RpcServer, 5).as_deref(), Some("DEADLINE_EXCEEDED"));
        let mut odd = call(Side::RpcClient, "/");
        odd.trailers(&HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("no number"),
        )]));
        assert_eq!(GRPC_CODES[usize::from(odd.status) - 1], "UNKNOWN");
    }

    #[test]
    fn a_mistake_of_the_caller_is_an_error_for_the_client_only() {
        let fine = |side, status| error(side, status, Outcome::Success);
        assert_eq!(fine(Side::HttpServer, 404), None);
        assert_eq!(fine(Side::HttpClient, 404).as_deref(), Some("404"));
        assert_eq!(fine(Side::HttpClient, 204), None);
        assert_eq!(fine(Side::RpcServer, 6), None);
        assert_eq!(fine(Side::RpcClient, 6).as_deref(), Some("NOT_FOUND"));
        assert_eq!(fine(Side::RpcClient, 1), None);
    }

    #[test]
    fn the_subject_is_the_route_or_method_and_the_target_is_the_server() {
        let subject = |side, uri: &str| call(side, uri).subject().map(str::to_owned);
        assert_eq!(subject(Side::HttpServer, "/a"), None, "any caller can make up a path");
        assert_eq!(subject(Side::RpcServer, "/pkg.Greeter/Hello?a").as_deref(), Some("pkg.Greeter/Hello"));
        let server = |side, uri: &str| {
            let call = call(side, uri);
            let target = call.target().into_owned();
            (target.server.map(Cow::into_owned), target.port)
        };
        let db = |port| (Some("db".to_owned()), port);
        assert_eq!(server(Side::HttpClient, "http://user@db:8080/a?b"), db(8_080));
        assert_eq!(server(Side::HttpClient, "https://db/"), db(443));
        assert_eq!(server(Side::RpcClient, "http://db/pkg.Greeter/Hello"), db(80));
        assert_eq!(server(Side::HttpClient, "/a"), (None, 0));
        assert_eq!(server(Side::HttpServer, "http://db/"), (None, 0));
    }

    #[test]
    fn a_name_that_is_too_long_is_other() {
        let long = "x".repeat(LONGEST);
        let kept = |side, uri: &str| {
            let key = call(side, uri).key(Outcome::Success).into_owned();
            (key.subject.map(Cow::into_owned), key.target.server.map(Cow::into_owned))
        };
        let other = Some(OTHER.to_owned());
        assert_eq!(kept(Side::RpcServer, &format!("/{long}")), (Some(long.clone()), None));
        assert_eq!(kept(Side::RpcServer, &format!("/{long}x")), (other.clone(), None));
        assert_eq!(kept(Side::HttpClient, &format!("http://{long}x/")), (None, other));
    }
}
