//! How much memory it takes what waits for its export.
//!
//! Estimates, for bounds in bytes: at each place a number of items alone would let a few large ones take all memory.
//! They count texts and what holds them, and leave out what the allocator adds.

use std::mem::size_of;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{SpanContext, Status};
use opentelemetry::{Array, Key, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// The bytes of a span.
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

/// The bytes of what other systems say about the trace: a caller may have sent 16 KiB, and each span has a copy.
fn of_context(context: &SpanContext) -> usize {
    let members = context.trace_state().into_iter();
    members.map(|(key, value)| size_of::<(String, String)>() + key.len() + value.len()).sum()
}

/// The bytes of attributes.
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

/// The bytes of a value of a log record, without the value itself.
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
