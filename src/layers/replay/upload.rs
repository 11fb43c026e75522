//! Whether an attempt waits for the rest of the request body.

use std::sync::Arc;

use super::buffer::Buffer;

/// A view of a body while an attempt reads it.
#[derive(Debug)]
pub(crate) struct Upload(Option<Arc<Buffer>>);

impl Upload {
    pub(super) fn of(buffer: Option<Arc<Buffer>>) -> Self {
        Self(buffer)
    }

    /// Whether the last read of the body was pending: the attempt waits for its caller.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|buffer| buffer.is_awaited())
    }
}
