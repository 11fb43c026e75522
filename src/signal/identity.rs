//! Who this process is, for those who are below the pipeline that knows.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

/// What a resource says about the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) service: Option<String>,
    pub(crate) version: Option<String>,
    /// The instance, or else its host.
    pub(crate) instance: Option<String>,
}

static IDENTITY: ArcSwapOption<Identity> = ArcSwapOption::const_empty();

/// Makes `identity` what this process is; the last one stands.
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
pub(crate) fn identify(identity: Identity) {
    IDENTITY.store(Some(Arc::new(identity)));
}

/// Who this process is, if someone knows.
pub(crate) fn identity() -> Option<Arc<Identity>> {
    IDENTITY.load_full()
}

static CORRELATION: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// Makes `current` the one that knows. The first one stays.
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
pub(crate) fn on_current_correlation(current: fn() -> Option<String>) {
    let _ = CORRELATION.set(current);
}

/// The correlation id of the code that runs, if someone knows.
pub(crate) fn current_correlation() -> Option<String> {
    CORRELATION.get().and_then(|current| current())
}
