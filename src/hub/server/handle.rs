//! The handle of a server.

use std::fmt;
use std::sync::Arc;

use crate::hub::config::ServerSection;
use crate::layers::timing::Timing;
use crate::telemetry::{Correlation, Telemetry};

/// Something that the program offers, under one name: spans in the trace of the caller, correlation ids, durations, and a
/// component in health. See [`Campanile::server`](super::super::Campanile::server).
#[derive(Clone)]
pub struct Server {
    pub(in crate::hub) inner: Arc<ServerInner>,
}

pub(in crate::hub) struct ServerInner {
    pub(in crate::hub) name: Arc<str>,
    pub(in crate::hub) timing: Timing,
    pub(in crate::hub) settings: ServerSection,
    pub(in crate::hub) correlation: Option<Correlation>,
    pub(in crate::hub) telemetry: Telemetry,
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
