//! `[endpoint.NAME]`, and `check` of `[dependency.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::Times;
use crate::base::error::ConfigError;
use crate::health::{Every, HttpCheckSettings};

/// An endpoint that health checks: `[endpoint.NAME]`, and `check` of `[dependency.NAME]`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointSection {
    /// Address: `http://`, `https://`, `grpc://`, `grpcs://` or `tcp://`, a host and a port. Required for `[endpoint.NAME]`;
    /// a dependency may give its check in code.
    pub address: Option<String>,
    /// Method of HTTP: `GET` or `HEAD`. Default: `GET`.
    pub method: String,
    /// Headers of the request. They are not shown.
    pub headers: BTreeMap<String, String>,
    /// Statuses of HTTP that pass, such as `[204, "300-399"]`. Default: 200 to 299.
    #[serde(with = "crate::health::statuses")]
    pub statuses: BTreeSet<u16>,
    /// Time from one run of the check to the next: more than zero. Default: 30 s.
    #[serde(with = "crate::base::duration")]
    pub every: Duration,
    /// Longest time of a run: more than zero. Default: 5 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
    /// Response time above which the component is degraded. Default: none.
    #[serde(with = "crate::base::duration::option")]
    pub warn_above: Option<Duration>,
    /// Response time above which the check fails: at least `warn_above`, less than `timeout`. Default: none.
    #[serde(with = "crate::base::duration::option")]
    pub error_above: Option<Duration>,
    /// Number of failures in a row that make a passing check fail: at least 1. Default: 1.
    pub failures: u32,
    /// Number of passes in a row that make a failing check pass: at least 1. Default: 1.
    pub successes: u32,
    /// Whether the program is not ready while this endpoint is unwell. Default: `false`.
    pub critical: bool,
}

impl Default for EndpointSection {
    fn default() -> Self {
        Self {
            address: None,
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            statuses: HttpCheckSettings::default().statuses,
            every: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            warn_above: None,
            error_above: None,
            failures: 1,
            successes: 1,
            critical: false,
        }
    }
}

impl EndpointSection {
    /// Returns how often the check runs, and how long a run may take.
    #[must_use]
    pub fn schedule(&self) -> Every {
        self.times().schedule()
    }

    fn times(&self) -> Times {
        let &Self { every, timeout, warn_above, error_above, failures, successes, .. } = self;
        Times { every, timeout, warn_above, error_above, failures, successes }
    }

    pub(in crate::hub::config) fn check(&self) -> Result<(), ConfigError> {
        if let Some(address) = &self.address {
            const SCHEMES: [&str; 5] = ["http://", "https://", "grpc://", "grpcs://", "tcp://"];
            let host = SCHEMES.iter().find_map(|scheme| address.strip_prefix(scheme));
            // A user and a password may stand before the host.
            let shown = match address.split_once("://") {
                Some((scheme, _)) => format!("{scheme}://…"),
                None => address.rsplit('@').next().unwrap_or_default().to_owned(),
            };
            ConfigError::check(
                host.is_some_and(|host| !host.is_empty()),
                "address",
                shown,
                "http://, https://, grpc://, grpcs:// or tcp://, followed by a host and a port",
            )?;
        }
        let known = ["GET", "HEAD"].contains(&self.method.as_str());
        ConfigError::check(known, "method", &self.method, "GET or HEAD: a check must not change anything")?;
        for name in self.headers.keys() {
            let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            ConfigError::check(is_name, "headers", name, "names of headers")?;
        }
        let fits =
            !self.statuses.is_empty() && self.statuses.iter().all(|status| (100..=999).contains(status));
        ConfigError::check(fits, "statuses", &self.statuses, "at least one status, each from 100 to 999")?;
        self.times().check()
    }
}

impl fmt::Debug for EndpointSection {
    /// Omits the address, whose query may hold a token, and the values of headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSection")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("statuses", &self.statuses)
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .field("warn_above", &self.warn_above)
            .field("error_above", &self.error_above)
            .field("failures", &self.failures)
            .field("successes", &self.successes)
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}
