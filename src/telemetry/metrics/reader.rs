//! A reader of metrics that several may ask.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};

use super::overflow::Overflows;
use crate::telemetry::counters::Counters;

/// A metric reader that several exporters and the scrape share. It reports instruments with too many series.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct SharedReader(pub(super) Arc<dyn MetricReader>, Arc<Overflows>);

impl SharedReader {
    pub(in crate::telemetry) fn new(reader: impl MetricReader, counters: &Arc<Counters>) -> Self {
        Self(Arc::new(reader), Arc::new(Overflows::new(counters)))
    }

    pub(in crate::telemetry) fn of(temporality: Temporality, counters: &Arc<Counters>) -> Self {
        Self::new(ManualReader::builder().with_temporality(temporality).build(), counters)
    }
}

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)?;
        self.1.report(metrics);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
