//! W3C Trace Context: `traceparent` and `tracestate`.
//!
//! The propagator of the SDK (0.33.1) is not used. It reads the first of two `traceparent` headers, accepts a trailing dash, a
//! sign and ids that are too short, allocates for each request with the header, writes an empty `tracestate`, and does not
//! report what was malformed.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::carrier::{Carrier, Field, Writer};
use super::ignored::{self, Header, Reason, ignore};

static TRACEPARENT: Field = Field::new("traceparent");
static TRACESTATE: Field = Field::new("tracestate");

pub(super) const FIELDS: [&Field; 2] = [&TRACEPARENT, &TRACESTATE];

/// The known flags: sampled, and random trace id.
const KNOWN_FLAGS: u8 = 0b11;

/// The maximum number of members of a `tracestate`, by the specification.
const MEMBERS: usize = 32;

pub(super) fn extract(carrier: &impl Carrier) -> Option<SpanContext> {
    let parent = match carrier.single_value(&TRACEPARENT) {
        Ok(None) => return None,
        Ok(Some(parent)) => parent,
        // Two values cannot both be right.
        Err(reason) => return ignore(Header::TraceParent, reason),
    };
    let Some((trace_id, span_id, flags)) = parse(parent) else {
        return ignore(Header::TraceParent, Reason::Malformed);
    };
    Some(SpanContext::new(trace_id, span_id, flags, true, state(carrier)))
}

/// `version-trace_id-span_id-flags`; a later version may have more behind that.
fn parse(parent: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = parent.split('-');
    let mut part = |length: usize| {
        let digits = |part: &&str| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(digits)
    };
    let version = part(2).filter(|version| *version != "ff")?;
    let trace_id = TraceId::from_hex(part(32)?).ok()?;
    let span_id = SpanId::from_hex(part(16)?).ok()?;
    let flags = u8::from_str_radix(part(2)?, 16).ok()?;
    let ends = parts.next().is_none();
    let valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    (valid && (ends || version != "00")).then(|| (trace_id, span_id, TraceFlags::new(flags & KNOWN_FLAGS)))
}

/// The `tracestate`. If it is malformed, the trace continues without it.
fn state(carrier: &impl Carrier) -> TraceState {
    let mut members: Vec<(&str, &str)> = Vec::new();
    let mut fine = Ok(());
    carrier.for_each_value(&TRACESTATE, |value| {
        let Some(value) = value else {
            fine = Err(Reason::Malformed);
            return;
        };
        for member in value.split(',').map(str::trim_ascii).filter(|member| !member.is_empty()) {
            match member.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() && is_text(value) => {
                    if members.len() == MEMBERS {
                        fine = fine.and(Err(Reason::TooLarge));
                    } else if members.iter().any(|(other, _)| *other == key) {
                        fine = Err(Reason::Malformed);
                    } else {
                        members.push((key, value));
                    }
                }
                _ => fine = Err(Reason::Malformed),
            }
        }
    });
    if members.is_empty() && fine.is_ok() {
        return TraceState::NONE;
    }
    let read = fine.and_then(|()| TraceState::from_key_value(members).map_err(|_| Reason::Malformed));
    read.unwrap_or_else(|reason| {
        ignored::count(Header::TraceState, reason);
        TraceState::NONE
    })
}

/// Whether a header may have this value. The SDK also accepts line breaks and non-ASCII characters.
fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

pub(super) fn inject(context: &Context, writer: &mut impl Writer) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let flags = span.trace_flags().to_u8() & KNOWN_FLAGS;
    writer.set(&TRACEPARENT, format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()));
    match span.trace_state().header() {
        // One of an earlier attempt, or of another trace.
        state if state.is_empty() || !is_text(&state) => writer.remove(&TRACESTATE),
        state => writer.set(&TRACESTATE, state),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::carrier::{ExtractorCarrier, InjectorWriter};
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(fields: &[(&str, &str)]) -> Option<SpanContext> {
        let fields: HashMap<String, String> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        extract(&ExtractorCarrier(&fields))
    }

    #[test]
    fn valid_trace_context_is_read() {
        let later = GOOD.replacen("00", "cc", 1);
        for text in [
            GOOD.to_owned(),
            format!(" {GOOD}\t"),
            later.clone(),
            format!("{later}-what-the-future-brings"),
            GOOD.replace("-01", "-ff"),
        ] {
            let context = read(&[("traceparent", &text)]).unwrap();
            assert_eq!(
                context.trace_id(),
                TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
                "{text}"
            );
            assert_eq!(context.span_id(), SpanId::from(0x00f0_67aa_0ba9_02b7), "{text}");
            assert!(context.is_sampled() && context.is_remote(), "{text}");
        }
        assert!(!read(&[("traceparent", &GOOD.replace("-01", "-00"))]).unwrap().is_sampled());
    }

    #[test]
    fn malformed_trace_context_is_ignored() {
        for text in [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            format!("{GOOD}-"),
            format!("{GOOD}-more"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0", 1),
            GOOD.replace("4bf9", "4bg9"),
            GOOD.replace("4bf9", "4bf"),
            GOOD.replace("-01", "-1"),
            GOOD.replace("-01", "-0x"),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace('-', "_"),
        ] {
            assert!(read(&[("traceparent", &text)]).is_none(), "{text}");
        }
    }

    #[test]
    fn state_is_kept_in_order_or_not_at_all() {
        let state = |state: &str| {
            read(&[("traceparent", GOOD), ("tracestate", state)]).unwrap().trace_state().header()
        };
        assert_eq!(state("foo=1,, bar=2 ,a@b=3"), "foo=1,bar=2,a@b=3");
        assert_eq!(state(""), "");
        let many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert_eq!(state(&many[..32].join(",")), many[..32].join(","));
        for bad in
            ["foo", "foo=", "=1", "Foo=1", "foo=1,foo=2", "foo=1=2", "foo=a\r\nb", "foo=ä", &many.join(",")]
        {
            assert_eq!(state(bad), "", "{bad}");
        }
    }

    #[test]
    fn written_headers_can_be_read() {
        let context = read(&[("traceparent", GOOD), ("tracestate", "foo=1,bar=2")]).unwrap();
        let mut written = HashMap::new();
        inject(&Context::new().with_remote_span_context(context), &mut InjectorWriter(&mut written));
        assert_eq!((written["traceparent"].as_str(), written["tracestate"].as_str()), (GOOD, "foo=1,bar=2"));
        let mut written: HashMap<String, String> = HashMap::new();
        inject(&Context::new(), &mut InjectorWriter(&mut written));
        assert!(written.is_empty());
    }
}
