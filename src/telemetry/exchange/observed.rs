//! Follows a request to its end, and tells its span how it ended.

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Response};
use opentelemetry::Context;
use tracing::Span;

use super::access_log::{AccessLog, Line};
use super::ended::Ended;
use super::names::Names;
use super::side::Side;
use crate::base::conventions::{OTHER, version_name};
use crate::base::outcome::{GRPC_CODES, is_timing_out};

/// A request until its end. If it is dropped before, the request was cancelled or panicked.
pub(super) struct Observed {
    side: Side,
    span: Span,
    /// The context of the caller, for spans and calls inside.
    context: Option<Context>,
    /// The status of HTTP, or the code of gRPC.
    status: Option<u16>,
    /// HTTP clients: the version of the response.
    version: Option<&'static str>,
    /// The bytes of the response so far.
    received: u64,
    /// Whether user code runs. Still set afterwards if it panicked.
    running: bool,
    ended: bool,
    more: Option<Box<More>>,
}

/// What few requests need.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) log: Option<AccessLog>,
    /// gRPC servers: a method that may not exist.
    pub(super) unproven: Option<(Arc<Names>, PathAndQuery)>,
}

impl Observed {
    /// `None` if there is nothing to do for the request.
    #[inline]
    pub(super) fn new(side: Side, span: Span, context: Option<Context>, more: More) -> Option<Self> {
        let more = (more.log.is_some() || more.unproven.is_some()).then(|| Box::new(more));
        if span.is_disabled() && context.is_none() && more.is_none() {
            return None;
        }
        let (status, version, received, running, ended) = (None, None, 0, false, false);
        Some(Self { side, span, context, status, version, received, running, ended, more })
    }

    /// Runs user code inside the span and in the context of the caller.
    #[inline]
    pub(super) fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.running = true;
        let attached = self.context.clone().map(Context::attach);
        let entered = self.span.enter();
        let done = work();
        drop(entered);
        drop(attached);
        self.running = false;
        done
    }

    /// Runs user code, which makes no spans.
    #[inline]
    pub(super) fn beside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.running = true;
        let done = work();
        self.running = false;
        done
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// Whether user code has panicked.
    pub(super) fn panicked(&self) -> bool {
        self.running
    }

    /// Reads the head of the response.
    #[inline]
    pub(super) fn head<B>(&mut self, response: &Response<B>) {
        if self.side.is_grpc() {
            self.trailers(response.headers());
            if self.status.is_none() && response.status() != http::StatusCode::OK {
                // Not from the service but from a proxy.
                self.status = Some(UNKNOWN);
            }
        } else {
            self.status = Some(response.status().as_u16());
            self.version = version_name(response.version()).filter(|_| self.side.is_client());
        }
    }

    /// Reads the code of a gRPC call.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        #[cfg(feature = "grpc")]
        if self.side.is_grpc()
            && let Some(code) = crate::base::outcome::code_in(trailers)
        {
            let code = u16::try_from(code).ok().filter(|code| usize::from(*code) < GRPC_CODES.len());
            self.status = Some(code.unwrap_or(UNKNOWN));
        }
        let _ = trailers;
    }

    #[inline]
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Ends the request with an error.
    #[cold]
    pub(super) fn fail(&mut self, kind: Option<&str>, description: &str) {
        self.span.record("otel.status_description", description);
        self.end(Ended::Failed(kind.unwrap_or(OTHER)));
    }

    /// Ends the request: the span gets its last attributes, and closes.
    #[inline]
    pub(super) fn end(&mut self, ended: Ended<'_>) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        if self.side.is_grpc() && self.status.is_none() {
            self.status = match ended {
                Ended::Cancelled => Some(CANCELLED),
                // A stream has to end with a status.
                Ended::Whole => Some(UNKNOWN),
                _ => None,
            };
        }
        let error = match self.status.filter(|status| self.side.fails(*status)) {
            Some(code) if self.side.is_grpc() => code_name(code).map(Cow::Borrowed),
            Some(status) => Some(Cow::Owned(status.to_string())),
            // On a server, a cancelled call is an error of its caller.
            None if self.side.is_grpc() && ended == Ended::Cancelled => None,
            None => ended.error_type().map(Cow::Borrowed),
        };
        let error = error.as_deref();
        if self.side.is_grpc() {
            self.name_method();
            let code = self.status.and_then(code_name);
            tracing::record_all!(self.span, rpc.response.status_code = code, error.type = error);
        } else {
            let status = self.status.map(i64::from);
            let size = self.size(ended);
            tracing::record_all!(
                self.span,
                http.response.status_code = status,
                http.response.body.size = size
            );
            // Each field is searched for by its name.
            if error.is_some() || self.version.is_some() {
                tracing::record_all!(self.span, error.type = error, network.protocol.version = self.version);
            }
        }
        if let Some(log) = self.more.as_ref().and_then(|more| more.log.as_ref()) {
            let line = Line {
                side: self.side,
                error,
                status: self.status.filter(|_| !self.side.is_grpc()).map(i64::from),
                code: self.status.filter(|_| self.side.is_grpc()).and_then(code_name),
                response_size: self.size(ended),
            };
            let _attached = self.context.clone().map(Context::attach);
            self.span.in_scope(|| log.write(&line));
        }
        (self.span, self.context, self.more) = (Span::none(), None, None);
    }

    /// The size of the response, if it was read to its end.
    fn size(&self, ended: Ended<'_>) -> Option<i64> {
        (ended == Ended::Whole).then(|| i64::try_from(self.received).ok()).flatten()
    }

    /// Names the span of a gRPC server by its method, once the code shows that the method exists: any caller can make one
    /// up.
    fn name_method(&mut self) {
        #[cfg(feature = "grpc")]
        if let Some((names, path)) = self.more.as_mut().and_then(|more| more.unproven.take()) {
            let method = path.path().trim_start_matches('/');
            // Other codes may come from a layer that refuses calls, or mean that there is no such method.
            let exists = self.status.is_some_and(|code| !matches!(code, 1 | 7 | 8 | 12 | 14 | 16));
            if exists && names.learn(method) {
                tracing::record_all!(self.span, otel.name = method, rpc.method = method);
            } else {
                tracing::record_all!(self.span, rpc.method = OTHER, rpc.method_original = method);
            }
        }
    }
}

/// Codes of gRPC.
const CANCELLED: u16 = 1;
const UNKNOWN: u16 = 2;

fn code_name(code: u16) -> Option<&'static str> {
    GRPC_CODES.get(usize::from(code)).copied()
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.ended {
            self.end(match () {
                () if self.running => Ended::Panicked,
                () if is_timing_out() => Ended::TimedOut,
                () => Ended::Cancelled,
            });
        }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("side", &self.side)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
