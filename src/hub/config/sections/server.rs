//! `[server.NAME]`.

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// A server of this program: `[server.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerSection {
    /// Component that the requests count for. Default: the name of the section.
    pub component: Option<String>,
    /// Whether each request is logged. Default: `false`.
    pub access_log: bool,
    /// Whether each request has a correlation id: the one of its headers, or else a new one. Default: `true`.
    pub correlation: bool,
    /// Headers that may hold the correlation id; the first that the request has is used. Default: `x-request-id` and
    /// `x-correlation-id`.
    pub correlation_headers: Vec<String>,
    /// Whether correlation ids of callers are accepted. Default: `true`. Set it to `false` at the edge.
    pub trust_correlation: bool,
    /// Whether `Forwarded` and `X-Forwarded-…` are trusted, behind a proxy that replaces them. Default: `false`.
    pub trust_forwarded: bool,
    /// Paths without spans and without access log; a `*` at the end stands for any rest. Default: those of probes and
    /// metrics.
    pub untraced: Vec<String>,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            component: None,
            access_log: false,
            correlation: true,
            correlation_headers: vec!["x-request-id".to_owned(), "x-correlation-id".to_owned()],
            trust_correlation: true,
            trust_forwarded: false,
            untraced: [
                "/livez",
                "/readyz",
                "/startupz",
                "/healthz",
                "/metrics",
                "/grpc.health.v1*",
                "/grpc.reflection*",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

impl ServerSection {
    pub(in crate::hub::config) fn check(&self) -> Result<(), ConfigError> {
        check_component(self.component.as_deref())?;
        for name in &self.correlation_headers {
            let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            ConfigError::check(is_name, "correlation_headers", name, "names of headers")?;
        }
        for path in &self.untraced {
            let is_path = path.starts_with('/') || path == "*";
            ConfigError::check(is_path, "untraced", path, "paths that begin with `/`, or `*` for all")?;
        }
        Ok(())
    }
}

/// Checks the name of a component.
pub(super) fn check_component(component: Option<&str>) -> Result<(), ConfigError> {
    let Some(name) = component else { return Ok(()) };
    ConfigError::check(!name.trim().is_empty(), "component", name, "a name that is not blank")
}
