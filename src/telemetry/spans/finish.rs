//! Makes the finished span of OpenTelemetry when a span closes.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::SpanData;

use super::open_span::OpenSpan;
use crate::base::clock::Tick;
use crate::telemetry::limits::SpanLimits;
use crate::telemetry::status::SpanStatus;

impl OpenSpan {
    /// Passes the finished span to `end`, if the span was recorded.
    #[inline]
    pub(in crate::telemetry) fn finish(
        &mut self,
        duration: Duration,
        scope: &InstrumentationScope,
        busy: Option<Tick>,
        limits: &SpanLimits,
        end: impl FnOnce(SpanData),
    ) {
        let Some(recording) = self.recording.as_mut() else { return };
        if let Some(now) = busy {
            recording.add_times(now, limits);
        }
        let status = match self.status {
            SpanStatus::None => Status::Unset,
            SpanStatus::Ok => Status::Ok,
            SpanStatus::Failed | SpanStatus::Error => {
                if let Some(kind) = self.error_type.take() {
                    let kind = KeyValue::new("error.type", kind);
                    limits.add(&mut recording.attributes, &mut recording.dropped_attributes, kind);
                }
                Status::Error { description: recording.description.take().unwrap_or(Cow::Borrowed("")) }
            }
        };
        // Made in the argument, so that its 400 bytes are not copied.
        end(SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent_span_id,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: recording.kind.clone(),
            name: std::mem::take(&mut recording.name),
            start_time: recording.start,
            end_time: recording.start + duration,
            attributes: std::mem::take(&mut recording.attributes),
            dropped_attributes_count: recording.dropped_attributes,
            events: std::mem::take(&mut recording.events),
            links: std::mem::take(&mut recording.links),
            status,
            instrumentation_scope: scope.clone(),
        });
    }
}
