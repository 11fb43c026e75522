//! The handle of a server.

use std::fmt;
use std::sync::Arc;

use crate::hub::config::ServerSettings;
use crate::layers::timing::Timing;
use crate::telemetry::{Correlation, Telemetry};

/// Something that the program offers, under one name: spans in the trace of the caller, correlation ids, durations, and a
/// component in health. See [`Campanile::server`](super::super::Campanile::server).
#[derive(Clone)]
pub struct Server {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) timing: Timing,
    pub(super) settings: ServerSettings,
    pub(super) correlation: Option<Correlation>,
    pub(super) telemetry: Telemetry,
}

impl Server {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The timing.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.inner.timing
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
