//! The handle.

use std::fmt;
use std::sync::Arc;

use super::inner::Inner;
use crate::dead_letter::DeadLetterQueue;

/// Work that is no request: see the [module](crate::worker). Cheap to clone. Clones share their counts.
#[derive(Clone)]
pub struct Worker {
    pub(super) inner: Arc<Inner>,
}

impl Worker {
    /// The name. It is the component of the worker's spans.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The queue in which items that failed are parked.
    #[must_use]
    pub fn letters(&self) -> &DeadLetterQueue {
        &self.inner.letters
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.inner.name)
            .field("letters", &self.inner.letters)
            .finish_non_exhaustive()
    }
}
