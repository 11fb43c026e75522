//! What did not start.

use std::error::Error;
use std::fmt;

use tower::BoxError;

use super::config::ConfigErrors;
use crate::base::error::ConfigError;
use crate::telemetry::TelemetryError;

/// A part that did not start, and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFault {
    part: String,
    reason: String,
}

impl StartFault {
    pub(super) fn new(part: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { part: part.into(), reason: reason.to_string() }
    }

    /// The part, such as `the port for metrics` or ``the store of letters of dependency `payments` ``.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// Why it did not start, and what is done instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not start: {}", self.part, self.reason)
    }
}

impl Error for StartFault {}

/// The error of a program that cannot start.
///
/// Its `Debug` is its text, because that is what Rust prints when `main` returns an error.
#[non_exhaustive]
pub enum StartError {
    /// The configuration is not valid.
    Config(ConfigErrors),
    /// A setting that the program itself chose is not valid.
    Setting(ConfigError),
    /// There is no pipeline, not even one without exporters.
    Telemetry(TelemetryError),
    /// A part did not start, and the start is [`strict`](super::CampanileBuilder::strict).
    Part(StartFault),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => errors.fmt(f),
            Self::Setting(error) => error.fmt(f),
            Self::Telemetry(error) => error.fmt(f),
            Self::Part(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(errors) => Some(errors),
            Self::Setting(error) => Some(error),
            Self::Telemetry(error) => Some(error),
            Self::Part(fault) => Some(fault),
        }
    }
}

impl From<ConfigErrors> for StartError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Setting(error)
    }
}

/// The error of a server or worker that [`Campanile::run`](super::Campanile::run) ran, or of a system that refuses a handler
/// for the signals. Its `Debug` is its text, as that of [`StartError`].
pub struct RunError(BoxError);

impl RunError {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// Returns the error itself.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
