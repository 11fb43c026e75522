//! What a source is to the thread that reads it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::signal::Metric;

/// A source: something that can be read again and again.
///
/// It may take its time, fail, panic or hang.
pub(super) trait Probe: Send {
    /// Reads it now.
    fn sample(&mut self) -> Result<Vec<Reading>, ProbeError>;
}

/// One value of a metric, under at most one attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) metric: &'static Metric,
    pub(super) value: f64,
    pub(super) attribute: Option<(&'static str, Cow<'static, str>)>,
}

impl Reading {
    pub(super) fn new(metric: &'static Metric, value: f64) -> Self {
        Self { metric, value, attribute: None }
    }

    pub(super) fn with(
        metric: &'static Metric,
        value: f64,
        key: &'static str,
        attribute: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { metric, value, attribute: Some((key, attribute.into())) }
    }
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeError(pub(super) Cow<'static, str>);

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A source and when to read it.
pub(super) struct Plan {
    pub(super) name: &'static str,
    /// Makes the probe: on the reading thread, since that too may hang or panic, and anew after a panic.
    pub(super) make: Make,
    pub(super) every: Duration,
    /// A reading that takes longer is given up.
    pub(super) deadline: Duration,
}

/// Makes a probe.
pub(super) type Make = Arc<dyn Fn() -> Box<dyn Probe> + Send + Sync>;

/// The deadline of sources that should answer within milliseconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
