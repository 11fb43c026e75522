//! B3, the format of Zipkin: in one header or in several.
//!
//! Both forms are read; the single header wins. The configured one is written. A caller may leave the sampling decision to us,
//! may deny a trace without ids, and may request that a trace is kept (`d`), which is passed on to the next service. The only
//! library for it, `opentelemetry-zipkin`, is deprecated and will be removed.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::carrier::{Carrier, Field, Writer};
use super::ignored::{Header, Reason, ignore};

static SINGLE: Field = Field::new("b3");
static TRACE_ID: Field = Field::new("x-b3-traceid");
static SPAN_ID: Field = Field::new("x-b3-spanid");
static PARENT_SPAN_ID: Field = Field::new("x-b3-parentspanid");
static SAMPLED: Field = Field::new("x-b3-sampled");
static FLAGS: Field = Field::new("x-b3-flags");

pub(super) const SINGLE_FIELDS: [&Field; 1] = [&SINGLE];
pub(super) const MULTI_FIELDS: [&Field; 4] = [&TRACE_ID, &SPAN_ID, &SAMPLED, &FLAGS];

/// Marks a context whose caller requested that the trace is kept.
#[derive(Clone, Copy, Debug)]
struct Debug;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Deferred,
    Denied,
    Accepted,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parsed {
    /// Of the trace and of the span.
    ids: Option<(TraceId, SpanId)>,
    state: State,
}

/// Returns `context` with the trace of the headers, if there is one. `keeps` decides about a trace that the caller leaves
/// to us.
pub(super) fn extract(
    context: &Context,
    carrier: &impl Carrier,
    keeps: impl FnOnce(TraceId) -> bool,
) -> Option<Context> {
    let found = single(carrier).or_else(|| multi(carrier))?;
    let (trace_id, span_id) = match (found.ids, found.state) {
        (Some(ids), _) => ids,
        // A made-up parent. Nothing of this trace is exported, so it is never missing.
        (None, State::Denied) => {
            let ids = RandomIdGenerator::default();
            (ids.new_trace_id(), ids.new_span_id())
        }
        // Accepting a trace that does not exist yet leaves the decision to us.
        (None, _) => return None,
    };
    let sampled = match found.state {
        State::Accepted | State::Debug => true,
        State::Denied => false,
        State::Deferred => keeps(trace_id),
    };
    let flags = TraceFlags::default().with_sampled(sampled);
    let span = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    let context = context.with_remote_span_context(span);
    Some(if found.state == State::Debug { context.with_value(Debug) } else { context })
}

/// `trace_id-span_id-state-parent_span_id`, in which the last one or two are optional, or a state alone.
fn single(carrier: &impl Carrier) -> Option<Parsed> {
    let text = match carrier.single_value(&SINGLE) {
        Ok(None) => return None,
        Ok(Some(text)) => text,
        Err(reason) => return ignore(Header::B3, reason),
    };
    let mut parts = text.split('-');
    let parsed = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(alone), None, ..) => state(alone).map(|state| Parsed { ids: None, state }),
        (Some(trace_id), Some(span_id), said, parent, None) => {
            let state = said.map_or(Some(State::Deferred), state);
            let parent_fits = parent.is_none_or(|parent| self::span_id(parent).is_some());
            ids(trace_id, span_id)
                .zip(state.filter(|_| parent_fits))
                .map(|(ids, state)| Parsed { ids: Some(ids), state })
        }
        _ => None,
    };
    parsed.or_else(|| ignore(Header::B3, Reason::Malformed))
}

fn multi(carrier: &impl Carrier) -> Option<Parsed> {
    let parts = [&TRACE_ID, &SPAN_ID, &SAMPLED, &FLAGS].map(|field| carrier.single_value(field));
    let [trace_id, span_id, sampled, flags] = match parts {
        [Ok(None), Ok(None), Ok(None), Ok(None)] => return None,
        [Ok(trace_id), Ok(span_id), Ok(sampled), Ok(flags)] => [trace_id, span_id, sampled, flags],
        others => {
            let reason = others.into_iter().find_map(Result::err).unwrap_or(Reason::Malformed);
            return ignore(Header::XB3, reason);
        }
    };
    let state = match (flags, sampled) {
        (Some("1"), _) => Some(State::Debug),
        (_, None) => Some(State::Deferred),
        // Written by early senders.
        (_, Some(said)) if said.eq_ignore_ascii_case("true") => Some(State::Accepted),
        (_, Some(said)) if said.eq_ignore_ascii_case("false") => Some(State::Denied),
        (_, Some(said)) => state(said).filter(|state| *state != State::Debug),
    };
    let ids = match (trace_id, span_id) {
        (None, None) => Some(None),
        (Some(trace_id), Some(span_id)) => ids(trace_id, span_id).map(Some),
        _ => None,
    };
    let parsed = ids.zip(state).map(|(ids, state)| Parsed { ids, state });
    parsed.or_else(|| ignore(Header::XB3, Reason::Malformed))
}

fn state(text: &str) -> Option<State> {
    match text {
        "0" => Some(State::Denied),
        "1" => Some(State::Accepted),
        "d" | "D" => Some(State::Debug),
        _ => None,
    }
}

/// Trace ids have 64 or 128 bits. The shorter ones are padded with zeros.
fn ids(trace_id: &str, span_id: &str) -> Option<(TraceId, SpanId)> {
    if !matches!(trace_id.len(), 16 | 32) {
        return None;
    }
    let trace_id = TraceId::from_hex(digits(trace_id)?).ok().filter(|id| *id != TraceId::INVALID)?;
    Some((trace_id, self::span_id(span_id)?))
}

fn span_id(text: &str) -> Option<SpanId> {
    let id = digits(text).filter(|text| text.len() == 16)?;
    SpanId::from_hex(id).ok().filter(|id| *id != SpanId::INVALID)
}

/// Returns `text` if it is hexadecimal. The API would accept a sign too.
fn digits(text: &str) -> Option<&str> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Writes one header.
pub(super) fn inject_single(context: &Context, writer: &mut impl Writer) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let state = match (context.get::<Debug>(), span.is_sampled()) {
        (Some(Debug), _) => "d",
        (None, true) => "1",
        (None, false) => "0",
    };
    writer.set(&SINGLE, format!("{}-{}-{state}", span.trace_id(), span.span_id()));
}

/// Writes several.
pub(super) fn inject_multi(context: &Context, writer: &mut impl Writer) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    writer.set(&TRACE_ID, span.trace_id().to_string());
    writer.set(&SPAN_ID, span.span_id().to_string());
    // The parent of our span is not sent. One that was copied from a caller's headers would be wrong.
    writer.remove(&PARENT_SPAN_ID);
    if context.get::<Debug>().is_some() {
        // This implies that it is sampled, which must not be sent too.
        writer.remove(&SAMPLED);
        writer.set(&FLAGS, "1".to_owned());
    } else {
        writer.remove(&FLAGS);
        writer.set(&SAMPLED, u8::from(span.is_sampled()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::carrier::{ExtractorCarrier, InjectorWriter};
    use super::*;

    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn read(fields: &[(&str, &str)]) -> Option<Context> {
        let fields: HashMap<String, String> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        // If the caller leaves it to us, traces with even ids are kept.
        let even = |id: TraceId| id.to_bytes()[15].is_multiple_of(2);
        extract(&Context::new(), &ExtractorCarrier(&fields), even)
    }

    fn of(context: Option<&Context>) -> Option<(String, String, bool, bool)> {
        let context = context?;
        let span = context.span().span_context().clone();
        assert!(span.is_remote() && span.is_valid());
        let debug = context.get::<Debug>().is_some();
        Some((span.trace_id().to_string(), span.span_id().to_string(), span.is_sampled(), debug))
    }

    fn expected(trace: &str, sampled: bool, debug: bool) -> Option<(String, String, bool, bool)> {
        Some((trace.to_owned(), SPAN.to_owned(), sampled, debug))
    }

    #[test]
    fn one_header_is_read() {
        let read = |text: &str| of(read(&[("b3", text)]).as_ref());
        assert_eq!(read(&format!("{TRACE}-{SPAN}-1")), expected(TRACE, true, false));
        assert_eq!(read(&format!("{TRACE}-{SPAN}-0")), expected(TRACE, false, false));
        assert_eq!(read(&format!("{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90")), expected(TRACE, true, true));
        assert_eq!(
            read(&format!("{TRACE}-{SPAN}").to_uppercase()),
            expected(TRACE, false, false),
            "deferred, odd"
        );
        let short = format!("{:0>32}", &TRACE[..16]);
        assert_eq!(
            read(&format!("{}-{SPAN}", &TRACE[..16])),
            expected(&short, true, false),
            "deferred, even"
        );
    }

    #[test]
    fn several_headers_are_read() {
        let read = |more: &[(&str, &str)]| {
            let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
            of(read(&[&ids, more].concat()).as_ref())
        };
        assert_eq!(read(&[("x-b3-sampled", "1")]), expected(TRACE, true, false));
        assert_eq!(read(&[("x-b3-sampled", "True")]), expected(TRACE, true, false));
        assert_eq!(read(&[("x-b3-sampled", "0")]), expected(TRACE, false, false));
        assert_eq!(read(&[("x-b3-flags", "1")]), expected(TRACE, true, true));
        assert_eq!(read(&[("x-b3-flags", "0"), ("x-b3-parentspanid", SPAN)]), expected(TRACE, false, false));
        let single = format!("{SPAN}-{SPAN}-1");
        assert_eq!(read(&[("b3", &single)]), expected(&format!("{SPAN:0>32}"), true, false), "it goes first");
    }

    #[test]
    fn a_decision_without_a_trace_counts_only_if_it_denies() {
        for denied in [&[("b3", "0")], &[("x-b3-sampled", "0")]] {
            let context = read(denied).unwrap();
            assert!(context.span().span_context().is_valid() && !context.span().span_context().is_sampled());
        }
        for other in ["1", "d"] {
            assert!(read(&[("b3", other)]).is_none());
        }
    }

    #[test]
    fn malformed_headers_are_ignored() {
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            "2".to_owned(),
            TRACE.to_owned(),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-1-short"),
            format!("{TRACE}-{SPAN}-1-{SPAN}-more"),
            format!("{TRACE}-short-1"),
            format!("{}-{SPAN}-1", &TRACE[..20]),
            format!("{zeros}-{SPAN}-1"),
            format!("{TRACE}-{}-1", &zeros[..16]),
            format!("{TRACE}-{SPAN}-1").replace('e', "g"),
        ] {
            assert!(read(&[("b3", &bad)]).is_none(), "{bad}");
        }
        for bad in [
            &[("x-b3-traceid", TRACE)] as &[(&str, &str)],
            &[("x-b3-spanid", SPAN), ("x-b3-sampled", "1")],
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "yes")],
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "d")],
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
        assert!(read(&[]).is_none());
    }

    #[test]
    fn written_headers_can_be_read() {
        for state in ["0", "1", "d"] {
            let text = format!("{TRACE}-{SPAN}-{state}");
            let context = read(&[("b3", &text)]).unwrap();
            let mut single = HashMap::new();
            inject_single(&context, &mut InjectorWriter(&mut single));
            assert_eq!(single, HashMap::from([("b3".to_owned(), text)]));
            let mut multi: HashMap<String, String> = HashMap::new();
            inject_multi(&context, &mut InjectorWriter(&mut multi));
            let fields: Vec<_> = multi.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(of(read(&fields).as_ref()), of(Some(&context)));
        }
    }
}
