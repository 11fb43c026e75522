//! Estimates the memory of items in a queue.
//!
//! Queues are bounded in bytes, because a few large items could take all memory within a bound by number. The estimates count
//! texts and the values that hold them, and ignore the overhead of the allocator.

use std::mem::size_of;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{SpanContext, Status};
use opentelemetry::{Array, Key, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// The size of a span in bytes.
pub(super) fn of_span(span: &SpanData) -> usize {
    let events =
        span.events.iter().map(|event| size_of_val(event) + event.name.len() + of_all(&event.attributes));
    let links = span
        .links
        .iter()
        .map(|link| size_of_val(link) + of_context(&link.span_context) + of_all(&link.attributes));
    let status = match &span.status {
        Status::Error { description } => description.len(),
        Status::Ok | Status::Unset => 0,
    };
    size_of::<SpanData>()
        + of_context(&span.span_context)
        + span.name.len()
        + status
        + of_all(&span.attributes)
        + events.sum::<usize>()
        + links.sum::<usize>()
}

/// The size of the trace state. A caller may send 16 KiB, and each span holds a copy.
fn of_context(context: &SpanContext) -> usize {
    let members = context.trace_state().into_iter();
    members.map(|(key, value)| size_of::<(String, String)>() + key.len() + value.len()).sum()
}

/// The size of attributes in bytes.
pub(super) fn of_all(attributes: &[KeyValue]) -> usize {
    let texts = |attribute: &KeyValue| attribute.key.as_str().len() + of_value(&attribute.value);
    size_of_val(attributes) + attributes.iter().map(texts).sum::<usize>()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => size_of_val(&**values),
        Value::Array(Array::F64(values)) => size_of_val(&**values),
        Value::Array(Array::String(values)) => {
            size_of_val(&**values) + values.iter().map(|text| text.as_str().len()).sum::<usize>()
        }
        _ => 0,
    }
}

/// The size in bytes of what a value of a log record holds, without the value itself.
pub(super) fn of_any(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::Bytes(bytes) => bytes.len(),
        AnyValue::ListAny(values) => size_of_val(&***values) + values.iter().map(of_any).sum::<usize>(),
        AnyValue::Map(values) => values
            .iter()
            .map(|(key, value)| size_of::<(Key, AnyValue)>() + key.as_str().len() + of_any(value))
            .sum(),
        _ => 0,
    }
}
