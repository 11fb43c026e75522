//! Items that are exported in batches, and their exporter.

use std::future::Future;
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::telemetry::counters::Signal;

/// An item that is exported in batches.
pub(in crate::telemetry) trait BatchItem: Send + Sync + 'static {
    const SIGNAL: Signal;

    /// The approximate size in memory, in bytes.
    fn bytes(&self) -> usize;
}

/// An exporter of batches.
pub(in crate::telemetry) trait BatchExporter<T>: Send + 'static {
    fn export(&self, batch: Vec<T>) -> impl Future<Output = OTelSdkResult>;
    fn shut_down(&self, limit: Duration) -> OTelSdkResult;
}

/// The limit of a flush that the SDK calls without one.
pub(in crate::telemetry) const FLUSH: Duration = Duration::from_secs(5);

/// The result for the SDK of a flush or shutdown.
pub(in crate::telemetry) fn sdk_result(limit: Duration, done: bool) -> OTelSdkResult {
    if done { Ok(()) } else { Err(OTelSdkError::Timeout(limit)) }
}
