//! The histograms of HTTP and gRPC calls: one for each combination of attributes, bounded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts as RequestParts;
use http::response::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method};

use crate::outcome::Outcome;
use crate::signal::{self, DurationRecorder, Emit};
use crate::sync::atomic::{AtomicU64, Ordering};

/// More combinations than this share one, whose free attribute is `_OTHER`.
const CAPACITY: usize = 1_000;
const OTHER: &str = "_OTHER";

/// The kind of call, by which the convention names its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "grpc"), allow(dead_code))]
pub(super) enum Side {
    HttpServer,
    HttpClient,
    RpcServer,
    RpcClient,
}

/// What is known of one call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) side: Side,
    /// The place in [`METHODS`], or one past it.
    method: u8,
    https: bool,
    subject: Subject,
    /// Of an HTTP client; 0 is unknown.
    port: u16,
    /// HTTP: the status. gRPC: one more than the code, so that 0 is none.
    status: u16,
}

/// What the call is about, as the request has it: a copy would cost each call an allocation.
#[derive(Debug)]
enum Subject {
    Unknown,
    /// The matched route of an HTTP server.
    Route(String),
    /// The host of an HTTP client.
    Host(Authority),
    /// The method of a gRPC call.
    Path(PathAndQuery),
}

/// The methods that the convention knows; any other is `_OTHER`.
const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"];

fn method_name(place: u8) -> &'static str {
    METHODS.get(usize::from(place)).copied().unwrap_or(OTHER)
}

fn method_place(method: &Method) -> u8 {
    // Ten short names: a search is cheaper than a hash.
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len()) as u8
}

const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Call {
    pub(super) fn new(side: Side, request: &RequestParts, route: Option<String>) -> Self {
        let https = request.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let subject = match side {
            Side::HttpServer => route.map(Subject::Route),
            Side::HttpClient => request.uri.authority().cloned().map(Subject::Host),
            Side::RpcServer | Side::RpcClient => request.uri.path_and_query().cloned().map(Subject::Path),
        };
        let port = match side {
            Side::HttpClient => request.uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
            Side::HttpServer | Side::RpcServer | Side::RpcClient => 0,
        };
        let subject = subject.unwrap_or(Subject::Unknown);
        Self { side, method: method_place(&request.method), https, subject, port, status: 0 }
    }

    fn subject(&self) -> Option<&str> {
        match &self.subject {
            Subject::Unknown => None,
            Subject::Route(route) => Some(route),
            Subject::Host(authority) => Some(authority.host()),
            Subject::Path(path) => Some(path.path().trim_start_matches('/')),
        }
    }

    pub(super) fn head(&mut self, head: &Parts) {
        match self.side {
            Side::HttpServer | Side::HttpClient => self.status = head.status.as_u16(),
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

    fn key(&self, outcome: Outcome) -> Key<'_> {
        let failure = outcome.failure().map(|kind| kind.as_str());
        Key {
            side: self.side,
            method: self.method,
            https: self.https,
            subject: self.subject().map(Cow::Borrowed),
            port: self.port,
            status: self.status,
            failure,
        }
    }
}

/// A combination of attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key<'a> {
    side: Side,
    method: u8,
    https: bool,
    subject: Option<Cow<'a, str>>,
    port: u16,
    status: u16,
    failure: Option<&'static str>,
}

impl Key<'_> {
    fn into_owned(self) -> Key<'static> {
        Key { subject: self.subject.map(|subject| Cow::Owned(subject.into_owned())), ..self }
    }

    /// The combination that those beyond [`CAPACITY`] share.
    fn other(self) -> Self {
        Self { subject: Some(OTHER.into()), port: 0, ..self }
    }

    fn recorder(&self) -> DurationRecorder {
        let mut attributes: Vec<(&'static str, Cow<'static, str>)> = Vec::with_capacity(6);
        let subject = self.subject.as_ref().map(|subject| Cow::Owned(subject.to_string()));
        let metric = match self.side {
            Side::HttpServer | Side::HttpClient => {
                attributes.push(("http.request.method", method_name(self.method).into()));
                attributes.push(("url.scheme", if self.https { "https" } else { "http" }.into()));
                if self.status != 0 {
                    attributes.push(("http.response.status_code", self.status.to_string().into()));
                }
                if self.side == Side::HttpServer {
                    attributes.extend(subject.map(|route| ("http.route", route)));
                    &signal::HTTP_SERVER_DURATION
                } else {
                    attributes.extend(subject.map(|host| ("server.address", host)));
                    if self.port != 0 {
                        attributes.push(("server.port", self.port.to_string().into()));
                    }
                    &signal::HTTP_CLIENT_DURATION
                }
            }
            Side::RpcServer | Side::RpcClient => {
                attributes.push(("rpc.system.name", "grpc".into()));
                attributes.extend(subject.map(|method| ("rpc.method", method)));
                if let Some(code) =
                    usize::from(self.status).checked_sub(1).and_then(|code| GRPC_CODES.get(code))
                {
                    attributes.push(("rpc.response.status_code", (*code).into()));
                }
                if self.side == Side::RpcServer {
                    &signal::RPC_SERVER_DURATION
                } else {
                    &signal::RPC_CLIENT_DURATION
                }
            }
        };
        if let Some(error) = self.error_type() {
            attributes.push(("error.type", error));
        }
        DurationRecorder::new(metric, attributes)
    }

    /// The convention wants the status where it tells of the error, else the kind of failure.
    fn error_type(&self) -> Option<Cow<'static, str>> {
        let failure = self.failure?;
        Some(match self.side {
            Side::HttpServer | Side::HttpClient if self.status >= 400 => self.status.to_string().into(),
            Side::RpcServer | Side::RpcClient if self.status > 1 => {
                GRPC_CODES[usize::from(self.status) - 1].into()
            }
            _ => failure.into(),
        })
    }
}

/// The histograms in use, and the requests that run by method.
#[derive(Default)]
pub(super) struct Recorders {
    by_key: ArcSwap<HashMap<Key<'static>, Arc<DurationRecorder>>>,
    /// By method and scheme.
    requests: [[Requests; 2]; METHODS.len() + 1],
}

impl Recorders {
    pub(super) fn entered(&self, call: &Call) {
        self.requests(call).entered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self, call: &Call) {
        self.requests(call).left.fetch_add(1, Ordering::Relaxed);
    }

    fn requests(&self, call: &Call) -> &Requests {
        &self.requests[usize::from(call.method)][usize::from(call.https)]
    }

    pub(super) fn record(&self, call: &Call, outcome: Outcome, elapsed: Duration) {
        let key = call.key(outcome);
        let by_key = self.by_key.load();
        let by_key: &HashMap<Key<'_>, Arc<DurationRecorder>> = &by_key;
        if let Some(recorder) = by_key.get(&key) {
            return recorder.record(elapsed);
        }
        if by_key.len() < CAPACITY {
            return self.add(key.into_owned()).record(elapsed);
        }
        let key = key.other();
        match by_key.get(&key) {
            Some(recorder) => recorder.record(elapsed),
            None => self.add(key.into_owned()).record(elapsed),
        }
    }

    #[cold]
    fn add(&self, key: Key<'static>) -> Arc<DurationRecorder> {
        let recorder = Arc::new(key.recorder());
        self.by_key.rcu(|by_key| {
            let mut by_key = HashMap::clone(by_key);
            by_key.entry(key.clone()).or_insert_with(|| Arc::clone(&recorder));
            by_key
        });
        // Another thread may have been first; both record to the same histogram.
        recorder
    }

    #[allow(clippy::cast_precision_loss)] // Requests in flight stay far below 2^52.
    pub(super) fn observe(&self, emit: &mut Emit<'_>) {
        for (place, by_scheme) in self.requests.iter().enumerate() {
            for (scheme, requests) in ["http", "https"].into_iter().zip(by_scheme) {
                let left = requests.left.load(Ordering::Relaxed);
                let entered = requests.entered.load(Ordering::Relaxed);
                if entered > 0 {
                    let attributes =
                        [("http.request.method", method_name(place as u8)), ("url.scheme", scheme)];
                    emit(&signal::HTTP_SERVER_ACTIVE, entered.saturating_sub(left) as f64, &attributes);
                }
            }
        }
    }
}

/// Requests that came in and that ended; what is between them runs.
#[derive(Debug, Default)]
struct Requests {
    entered: AtomicU64,
    left: AtomicU64,
}

impl fmt::Debug for Recorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorders").field("combinations", &self.by_key.load().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{FailureKind, Settle, StreamEnd};
    use crate::timing::{Exchange, Timing};
    use http::Request;

    fn call(side: Side, uri: &str) -> Call {
        Call::new(side, &Request::get(uri).body(()).unwrap().into_parts().0, None)
    }

    #[test]
    fn callers_that_invent_hosts_and_ports_share_one_combination() {
        let recorders = Recorders::default();
        let record = |n: usize| {
            let call = call(Side::HttpClient, &format!("http://host-{n}:{}/", 1_024 + n));
            recorders.record(&call, Outcome::Success, Duration::ZERO);
        };
        (0..CAPACITY).for_each(record);
        assert_eq!(recorders.by_key.load().len(), CAPACITY);
        record(CAPACITY);
        let full = recorders.by_key.load_full();
        assert_eq!(full.len(), CAPACITY + 1);
        (CAPACITY..2 * CAPACITY).for_each(record);
        assert!(
            Arc::ptr_eq(&full, &recorders.by_key.load_full()),
            "a call beyond the bound copied the table"
        );
        let other = full.keys().find(|key| key.subject.as_deref() == Some(OTHER));
        assert_eq!(other.map(|key| key.port), Some(0));
    }

    #[test]
    fn an_exchange_is_active_until_its_end_and_counts_by_its_trailers() {
        let timing = Timing::new("test");
        let active = || {
            let mut active = None;
            timing.meter.shared.recorders.observe(&mut |_, value, _| active = Some(value));
            active
        };
        let mut exchange = Exchange::start(&timing.meter, call(Side::HttpServer, "/"));
        assert_eq!(active(), Some(1.0));
        exchange.settle(Outcome::Success);
        assert_eq!(active(), Some(0.0));

        let mut exchange = Exchange::start(&timing.meter, call(Side::RpcServer, "/pkg.Greeter/Hello"));
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("14"),
        )]);
        exchange.end(StreamEnd::Complete(Some(&trailers)));
        exchange.settle(Outcome::Failure(FailureKind::Error));
        let keys = timing.meter.shared.recorders.by_key.load();
        let rpc: Vec<_> = keys.keys().filter(|key| key.side == Side::RpcServer).collect();
        assert_eq!(rpc.len(), 1);
        assert_eq!(rpc[0].error_type().as_deref(), Some("UNAVAILABLE"));
    }

    #[test]
    fn the_type_of_an_error_is_the_status_where_it_tells_of_it() {
        let error = |side, status| {
            let call = Call { status, ..call(side, "/") };
            let key = call.key(Outcome::Failure(FailureKind::Timeout));
            key.error_type().map(Cow::into_owned)
        };
        assert_eq!(error(Side::HttpServer, 504).as_deref(), Some("504"));
        assert_eq!(error(Side::HttpServer, 200).as_deref(), Some("timeout"));
        assert_eq!(error(Side::HttpClient, 0).as_deref(), Some("timeout"));
        assert_eq!(error(Side::RpcServer, 0).as_deref(), Some("timeout"));
        assert_eq!(error(Side::RpcServer, 5).as_deref(), Some("DEADLINE_EXCEEDED"));
        let mut odd = call(Side::RpcClient, "/");
        odd.trailers(&HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("no number"),
        )]));
        assert_eq!(GRPC_CODES[usize::from(odd.status) - 1], "UNKNOWN");
    }

    #[test]
    fn a_call_is_about_its_host_or_its_method() {
        let about = |side, uri: &str| call(side, uri).subject().map(str::to_owned);
        assert_eq!(about(Side::HttpClient, "http://user@db:8080/a?b").as_deref(), Some("db"));
        assert_eq!(about(Side::HttpClient, "/a"), None);
        assert_eq!(about(Side::HttpServer, "/a"), None, "anybody can invent a path");
        assert_eq!(about(Side::RpcServer, "/pkg.Greeter/Hello?a").as_deref(), Some("pkg.Greeter/Hello"));
    }
}
