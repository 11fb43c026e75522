//! How far the caller is with the body of its request.

use std::sync::Arc;

use super::buffer::Buffer;

/// A look at a body while another reads it.
#[derive(Debug)]
pub(crate) struct Upload(Option<Arc<Buffer>>);

impl Upload {
    pub(super) fn of(buffer: Option<Arc<Buffer>>) -> Self {
        Self(buffer)
    }

    /// Whether a reader waits for the caller to go on.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|buffer| buffer.is_awaited())
    }
}
