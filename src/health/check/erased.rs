//! A check without its type.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::check_trait::Check;
use super::finding::Finding;
use crate::base::panics::Panic;

/// A [`Check`] as a trait object.
pub(super) trait ErasedCheck: Send + Sync + 'static {
    /// Runs the check. The future keeps the check alive, and calls it when it is first polled.
    fn run(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Finding> + Send>>;
}

impl<C: Check> ErasedCheck for C {
    fn run(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Finding> + Send>> {
        Box::pin(async move { self.check().await })
    }
}

/// The message of a check's panic.
pub(super) fn panic_message(panic: &Panic) -> &str {
    panic.message().unwrap_or("no message")
}
