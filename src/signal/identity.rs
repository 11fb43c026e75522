//! The identity of this process, for modules that cannot use the pipeline.

use std::sync::Arc;

use crate::base::sync::Mutex;

/// The service attributes of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) service: Option<String>,
    pub(crate) version: Option<String>,
    /// The instance id, or the host name.
    pub(crate) instance: Option<String>,
}

static IDENTITY: Mutex<Option<Arc<Identity>>> = Mutex::new(None);

/// Sets the identity of this process. The last call wins.
pub(crate) fn identify(identity: Identity) {
    *IDENTITY.lock() = Some(Arc::new(identity));
}

/// The identity of this process, if it is set.
pub(crate) fn identity() -> Option<Arc<Identity>> {
    IDENTITY.lock().clone()
}
