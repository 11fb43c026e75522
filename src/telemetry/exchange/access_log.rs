//! One event for each request.

use std::sync::Arc;

use tracing::{Level, event};

use super::names::Name;
use super::side::Side;
use crate::base::clock::{self, Tick};
use crate::telemetry::targets::{GRPC, HTTP};

/// The event of one request.
#[derive(Debug)]
pub(super) struct AccessLog {
    pub(super) began: Tick,
    /// `http.request.method`; empty for gRPC.
    pub(super) method: &'static str,
    pub(super) name: Arc<Name>,
    pub(super) request_size: Option<u64>,
}

/// How the request ended.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) side: Side,
    pub(super) error: Option<&'a str>,
    /// Of HTTP.
    pub(super) status: Option<i64>,
    /// Of gRPC.
    pub(super) code: Option<&'a str>,
    pub(super) response_size: Option<i64>,
}

impl AccessLog {
    /// Writes the line, in the current span. A request that failed is a warning: the level `ERROR` would replace the status of
    /// its span.
    pub(super) fn write(&self, line: &Line<'_>) {
        let Self { method, name, request_size, .. } = self;
        let name = &*name.text;
        let Line { side, error, status, code, response_size } = *line;
        let duration = clock::now().since(self.began).as_secs_f64();
        macro_rules! http {
            ($level:ident) => {
                event!(
                    target: HTTP,
                    Level::$level,
                    http.request.method = method,
                    http.route = name.split_once(' ').map(|(_, route)| route),
                    http.response.status_code = status,
                    http.request.body.size = request_size,
                    http.response.body.size = response_size,
                    duration,
                    error.type = error,
                    "{name} {}",
                    status.map_or_else(|| error.unwrap_or_default().to_owned(), |status| status.to_string())
                )
            };
        }
        macro_rules! grpc {
            ($level:ident) => {
                event!(
                    target: GRPC,
                    Level::$level,
                    rpc.method = name,
                    rpc.response.status_code = code,
                    duration,
                    error.type = error,
                    "{name} {}",
                    code.or(error).unwrap_or_default()
                )
            };
        }
        match (side.is_grpc(), error.is_some()) {
            (false, false) => http!(INFO),
            (false, true) => http!(WARN),
            (true, false) => grpc!(INFO),
            (true, true) => grpc!(WARN),
        }
    }
}
