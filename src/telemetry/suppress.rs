//! Keeps spans and events of a thread out of the pipeline.

use std::cell::Cell;

thread_local! {
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// No layer records spans or events of this thread until it is dropped.
#[derive(Debug)]
pub(super) struct SuppressGuard {
    /// Whether the thread was suppressed before.
    before: bool,
}

impl SuppressGuard {
    pub(super) fn enter() -> Self {
        Self { before: SUPPRESSED.try_with(|suppressed| suppressed.replace(true)).unwrap_or(true) }
    }
}

impl Drop for SuppressGuard {
    fn drop(&mut self) {
        let _ = SUPPRESSED.try_with(|suppressed| suppressed.set(self.before));
    }
}

/// Suppresses this thread until it ends.
pub(super) fn suppress_thread() {
    let _ = SUPPRESSED.try_with(|suppressed| suppressed.set(true));
}

/// Whether spans and events of this thread stay out of the pipeline.
pub(super) fn is_suppressed() -> bool {
    SUPPRESSED.try_with(Cell::get).unwrap_or(true)
}
