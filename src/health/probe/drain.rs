//! Draining: the process is not ready any more.

use crate::health::handle::Health;

impl Health {
    /// Makes the process not ready for good, so that load balancers send no new requests. Requests that arrive are still
    /// served.
    ///
    /// gRPC streams of `Watch` get the change, and end 5 s later, so that they do not delay a graceful shutdown.
    #[cfg_attr(
        feature = "serve",
        doc = "[`Shutdown`](crate::serve::Shutdown) does all that a shutdown needs."
    )]
    #[cfg_attr(not(feature = "serve"), doc = "`Shutdown` (feature `serve`) does all that a shutdown needs.")]
    pub fn drain(&self) {
        self.inner.lifecycle.drain(None);
    }

    /// As [`drain`](Self::drain). Streams of `Watch` end after `grace`.
    #[cfg(feature = "serve")]
    pub(crate) fn drain_for(&self, grace: std::time::Duration) {
        self.inner.lifecycle.drain(Some(grace));
    }
}
