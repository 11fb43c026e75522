//! What is exported in batches, and the exporter of them.

use std::future::Future;
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::telemetry::counters::Signal;

/// Something that is exported in batches.
pub(in crate::telemetry) trait BatchItem: Send + Sync + 'static {
    const SIGNAL: Signal;

    /// Its approximate size in memory, in bytes.
    fn bytes(&self) -> usize;
}

/// The exporter of batches.
pub(in crate::telemetry) trait BatchExporter<T>: Send + 'static {
    fn export(&self, batch: Vec<T>) -> impl Future<Output = OTelSdkResult>;
    fn shut_down(&self, limit: Duration) -> OTelSdkResult;
}

/// How long those wait who do not say.
pub(in crate::telemetry) const FLUSH: Duration = Duration::from_secs(5);

/// What the SDK wants to hear, for what [`BatchProcessor`] tells.
pub(in crate::telemetry) fn sdk_result(limit: Duration, done: bool) -> OTelSdkResult {
    if done { Ok(()) } else { Err(OTelSdkError::Timeout(limit)) }
}
