//! The program's own [`Campanile`].

use std::sync::Weak;

use super::campanile::Campanile;
use super::inner::Inner;
use crate::base::sync::Mutex;

/// Weak, so that the last handle of the program still ends it.
static GLOBAL: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

impl Campanile {
    /// Returns the one that was started last, or `None` if its last handle was dropped. It does not keep it running for longer
    /// than the caller holds the returned handle.
    #[must_use]
    pub fn global() -> Option<Self> {
        GLOBAL.lock().upgrade().map(|inner| Self { inner })
    }

    pub(super) fn publish(&self) {
        *GLOBAL.lock() = std::sync::Arc::downgrade(&self.inner);
    }
}
