//! Who this process is, for those who are below the pipeline that knows.

use std::sync::Arc;

use crate::sync::Mutex;

/// What a resource says about the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) service: Option<String>,
    pub(crate) version: Option<String>,
    /// The instance, or else its host.
    pub(crate) instance: Option<String>,
}

static IDENTITY: Mutex<Option<Arc<Identity>>> = Mutex::new(None);

/// Makes `identity` what this process is; the last one stands.
pub(crate) fn identify(identity: Identity) {
    *IDENTITY.lock() = Some(Arc::new(identity));
}

/// Who this process is, if someone knows.
pub(crate) fn identity() -> Option<Arc<Identity>> {
    IDENTITY.lock().clone()
}
