//! Propagation headers: what the specifications allow is read. Anything else is ignored and counted.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use campanile::telemetry::propagator;
use opentelemetry::baggage::{Baggage, BaggageExt, BaggageMetadata};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, Key, StringValue};
use proptest::prelude::*;
use proptest::sample::select;
use tower::{Layer, ServiceExt, service_fn};

use crate::long::times;
use crate::support::{Pipeline, plain};

const ALL: [&str; 4] = ["tracecontext", "baggage", "b3", "b3multi"];
const HEADERS: [&str; 8] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
];

fn cases(usually: u32, long: u32) -> ProptestConfig {
    ProptestConfig { cases: times(usually, long), failure_persistence: None, ..ProptestConfig::default() }
}

type Fields = HashMap<String, String>;

fn fields(all: &[(&str, &str)]) -> Fields {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(formats: &[&str], fields: &Fields) -> Context {
    propagator(formats.iter().copied()).unwrap().extract_with_context(&Context::new(), fields)
}

fn write(formats: &[&str], context: &Context) -> Fields {
    let mut fields = Fields::new();
    propagator(formats.iter().copied()).unwrap().inject_context(context, &mut fields);
    fields
}

type Entry = (String, String, String);

fn entries(context: &Context) -> Vec<Entry> {
    let all = context
        .baggage()
        .iter()
        .map(|(key, (value, metadata))| (key.to_string(), value.to_string(), metadata.as_str().to_owned()));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// The span context and the baggage of a context, for comparison.
fn contents(context: &Context) -> (Option<SpanContext>, Vec<Entry>) {
    (context.has_active_span().then(|| context.span().span_context().clone()), entries(context))
}

/// The number of ignored headers of this name.
fn ignored(pipeline: &Pipeline, header: &str) -> f64 {
    let text = pipeline.telemetry.prometheus_text();
    let series = format!("campanile_telemetry_propagation_malformed_total{{header=\"{header}\",");
    let lines = text.lines().filter(|line| line.starts_with(&series));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Whether the count of ignored headers grows during `action`. Other tests may make it grow too, but none makes it shrink.
fn counts(header: &str, action: impl FnOnce()) -> bool {
    thread_local! {
        static PIPELINE: Pipeline = Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    }
    PIPELINE.with(|pipeline| {
        let before = ignored(pipeline, header);
        action();
        ignored(pipeline, header) > before
    })
}

// ===== grammars, independent of those of the crate =====

fn all_of(text: &str, letters: &str) -> bool {
    text.chars().all(|c| letters.contains(c))
}

const LOWER_HEX: &str = "0123456789abcdef";
const HEX: &str = "0123456789abcdefABCDEF";

/// W3C Trace Context 2, `traceparent`.
fn is_traceparent(text: &str) -> bool {
    let text = text.trim_ascii();
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, more @ ..] = &parts[..] else { return false };
    let hex = |part: &str, length| part.len() == length && all_of(part, LOWER_HEX);
    hex(version, 2)
        && *version != "ff"
        && hex(trace, 32)
        && !all_of(trace, "0")
        && hex(span, 16)
        && !all_of(span, "0")
        && hex(flags, 2)
        && (more.is_empty() || *version != "00")
}

/// The members of a `tracestate`. `None` if any is malformed. The part after `@` has at most 13 letters, which is the limit of
/// OpenTelemetry's type.
fn tracestate(text: &str) -> Option<Vec<(String, String)>> {
    let mut members: Vec<(String, String)> = Vec::new();
    for member in text.split(',').map(str::trim_ascii).filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=')?;
        let parts: Vec<_> = key.split('@').collect();
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let fits = match parts[..] {
            [key] => begins(key),
            [tenant, system] => begins(tenant) && (system.is_empty() || begins(system)) && system.len() <= 13,
            _ => false,
        };
        let letters = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
        let text = |c| (' '..='~').contains(&c) && c != '=';
        if !fits || !all_of(key, letters) || key.len() > 256 || value.is_empty() || value.len() > 256 {
            return None;
        }
        if !value.chars().all(text) || members.iter().any(|(other, _)| other == key) {
            return None;
        }
        members.push((key.to_owned(), value.to_owned()));
    }
    (members.len() <= 32).then_some(members)
}

/// An entry of W3C Baggage. Of a value that is not UTF-8, the valid beginning is read. `None` if the entry is malformed.
fn entry(text: &str) -> Option<Entry> {
    let mut parts = text.splitn(2, ';');
    let (key, value) = parts.next()?.split_once('=')?;
    let (key, value, metadata) =
        (key.trim_ascii(), value.trim_ascii(), parts.next().unwrap_or("").trim_ascii());
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let octet = |c: char| ('!'..='~').contains(&c) && !"\",;\\".contains(c);
    let fits = !key.is_empty()
        && key.chars().all(token)
        && value.chars().all(octet)
        && metadata.chars().all(|c| (' '..='~').contains(&c));
    if !fits {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let code = rest.get(1..3).filter(|code| c == '%' && all_of(code, HEX));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.push(u8::try_from(c).ok()?),
        }
        rest = &rest[if code.is_some() { 3 } else { 1 }..];
    }
    Some((key.to_owned(), String::from_utf8_lossy(&bytes).into_owned(), metadata.to_owned()))
}

/// The ids and the sampling state of a single B3 header. `None` if it is malformed, `Some(None)` if it has a state only.
fn b3(text: &str) -> Option<Option<(String, String, Option<bool>)>> {
    let text = text.trim_ascii();
    let sampled = |state: &str| match state {
        "0" => Some(false),
        "1" | "d" | "D" => Some(true),
        _ => None,
    };
    let id = |text: &str, lengths: &[usize]| {
        (lengths.contains(&text.len()) && all_of(text, HEX) && !all_of(text, "0"))
            .then(|| text.to_ascii_lowercase())
    };
    let parts: Vec<&str> = text.split('-').collect();
    if let [state] = parts[..] {
        return sampled(state).map(|_| None);
    }
    let [trace, span, more @ ..] = &parts[..] else { return None };
    let (trace, span) = (format!("{:0>32}", id(trace, &[16, 32])?), id(span, &[16])?);
    let state = match more {
        [] => None,
        [state] => Some(sampled(state)?),
        [state, parent] => {
            id(parent, &[16])?;
            Some(sampled(state)?)
        }
        _ => return None,
    };
    Some(Some((trace, span, state)))
}

// ===== generators of nearly valid texts =====

fn hex(length: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::string::string_regex(&format!("[0-9a-f]{{{length}}}")).unwrap(),
        1 => Just("0".repeat(length)),
        1 => proptest::string::string_regex(&format!("[0-9a-fA-F]{{{length}}}")).unwrap(),
        1 => proptest::string::string_regex(&format!("[0-9a-g+ -]{{{},{}}}", length - 1, length + 1)).unwrap(),
    ]
}

fn around(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let space = || select(vec!["", "", "", " ", "\t", " \t", "-", "x"]);
    (space(), text, space()).prop_map(|(before, text, after)| format!("{before}{text}{after}"))
}

fn near_traceparent() -> impl Strategy<Value = String> {
    let version = prop_oneof![4 => Just("00".to_owned()), 1 => Just("ff".to_owned()), 1 => hex(2)];
    let more = select(vec!["", "", "", "-", "-more", "-é"]);
    let text = (version, hex(32), hex(16), hex(2), more)
        .prop_map(|(version, trace, span, flags, more)| format!("{version}-{trace}-{span}-{flags}{more}"));
    prop_oneof![6 => around(text), 1 => "\\PC{0,60}"]
}

fn near_b3() -> impl Strategy<Value = String> {
    let state = || select(vec!["", "-0", "-1", "-d", "-D", "-2", "-true", "-"]);
    let ids = (
        prop_oneof![hex(32), hex(16)],
        hex(16),
        state(),
        prop_oneof![3 => Just(String::new()), 1 => hex(16).prop_map(|id| format!("-{id}"))],
    );
    let text = ids.prop_map(|(trace, span, state, parent)| format!("{trace}-{span}{state}{parent}"));
    prop_oneof![6 => around(text), 2 => select(vec!["0", "1", "d", "D", "2", ""]).prop_map(String::from), 1 => "\\PC{0,60}"]
}

fn near_tracestate() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        6 => "[a-d][a-z0-9_*/-]{0,3}",
        1 => "[a-z0-9@]{1,8}",
        1 => "[a-c]@[a-z]{11,15}",
        1 => "[A-Za@é= ]{0,3}",
        1 => Just("k".repeat(256)),
        1 => Just("k".repeat(257)),
    ];
    let value = prop_oneof![
        8 => "[!-+.-<>-~]{1,4}",
        1 => "[ =é\\x01\\r\\n]{0,3}",
        1 => Just("v".repeat(256)),
        1 => Just("v".repeat(257)),
    ];
    let member =
        prop_oneof![12 => (key, value).prop_map(|(key, value)| format!("{key}={value}")), 1 => "[a= ,]{0,4}"];
    let some = prop::collection::vec(around_member(member), 0..5).prop_map(|members| members.join(","));
    let many =
        (28..36_usize).prop_map(|count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(","));
    prop_oneof![8 => some, 1 => many]
}

fn around_member(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, select(vec!["", " ", "\t"])).prop_map(|(text, space)| format!("{space}{text}{space}"))
}

fn near_baggage() -> impl Strategy<Value = String> {
    let key = prop_oneof![8 => "[a-e]{1,2}", 1 => "[!-~]{1,3}", 1 => "[é \\x01]{0,2}"];
    let value = prop_oneof![8 => "[!#-+.-:<-~]{0,6}", 3 => "(%[0-9A-Fa-f]{2}){0,3}%?", 1 => "[ \"é\\\\\\x01\\r\\n]{0,2}"];
    let metadata = prop_oneof![6 => Just(""), 1 => Just(";p=1;q"), 1 => Just("; p = 1 "), 1 => Just(";é"), 1 => Just(";")];
    let entry = (key, value, metadata).prop_map(|(key, value, metadata)| format!("{key}={value}{metadata}"));
    let entry = around_member(prop_oneof![10 => entry, 1 => "[a;= ]{0,3}"]);
    prop::collection::vec(entry, 0..8).prop_map(|entries| entries.join(","))
}

proptest! {
    #![proptest_config(cases(400, 50_000))]

    #[test]
    fn p_a_traceparent_is_read_or_counted(text in near_traceparent()) {
        let found = Cell::new(false);
        let counted = counts("traceparent", || {
            found.set(read(&["tracecontext"], &fields(&[("traceparent", &text)])).has_active_span());
        });
        prop_assert_eq!(found.get(), is_traceparent(&text));
        prop_assert!(found.get() || counted, "{:?} is ignored and not counted", text);
    }

    #[test]
    fn p_a_tracestate_is_kept_whole_or_counted(text in near_tracestate()) {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let found = Cell::new(String::new());
        let counted = counts("tracestate", || {
            let context = read(&["tracecontext"], &fields(&[("traceparent", PARENT), ("tracestate", &text)]));
            found.set(context.span().span_context().trace_state().header());
        });
        let found = found.take();
        match tracestate(&text) {
            Some(members) => {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
                prop_assert_eq!(found, members.join(","));
            }
            None => prop_assert!(found.is_empty() && counted, "{:?} is {:?}", text, found),
        }
    }

    #[test]
    fn p_entries_of_baggage_are_read_or_counted_each(text in near_baggage()) {
        let found = Cell::new(Vec::new());
        let counted = counts("baggage", || found.set(entries(&read(&["baggage"], &fields(&[("baggage", &text)])))));
        let given: Vec<_> = text.split(',').filter(|it| !it.trim_ascii().is_empty()).map(entry).collect();
        // The last value of a key wins.
        let wanted: BTreeMap<_, _> =
            given.iter().flatten().map(|(key, value, more)| (key.clone(), (value.clone(), more.clone()))).collect();
        let wanted: Vec<Entry> = wanted.into_iter().map(|(key, (value, more))| (key, value, more)).collect();
        prop_assert_eq!(found.take(), wanted);
        prop_assert!(given.iter().all(Option::is_some) || counted, "{:?}", text);
    }

    #[test]
    fn p_a_b3_header_is_read_or_counted(text in near_b3()) {
        let found = Cell::new(None);
        let counted = counts("b3", || {
            let context = read(&["b3"], &fields(&[("b3", &text)]));
            found.set(contents(&context).0);
        });
        let found = found.take();
        match b3(&text) {
            Some(Some((trace, span, state))) => {
                let context = found.expect("a span context");
                prop_assert_eq!((context.trace_id().to_string(), context.span_id().to_string()), (trace, span));
                // A deferred decision is to sample.
                prop_assert_eq!(context.is_sampled(), state.unwrap_or(true));
            }
            // A header that only denies sampling gives a context with generated ids.
            Some(None) => prop_assert_eq!(found.is_some(), text.trim_ascii() == "0"),
            None => prop_assert!(found.is_none() && counted, "{:?} is {:?}", text, found),
        }
    }

    #[test]
    fn p_several_b3_headers_are_read_like_the_single_one_or_counted(
        trace in prop::option::of(prop_oneof![hex(32), hex(16)]),
        span in prop::option::of(hex(16)),
        sampled in prop::option::of(select(vec!["0", "1", "true", "FALSE", "d", "2", ""])),
        flags in prop::option::of(select(vec!["0", "1", "x"])),
    ) {
        let mut all = Fields::new();
        for (name, value) in [
            ("x-b3-traceid", trace.as_deref()), ("x-b3-spanid", span.as_deref()),
            ("x-b3-sampled", sampled), ("x-b3-flags", flags),
        ] {
            all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
        let found = Cell::new(None);
        let counted = counts("x-b3", || found.set(contents(&read(&["b3multi"], &all)).0));
        let found = found.take();
        let state = match (flags, sampled) {
            (Some("1"), _) => Some("-1"),
            (_, None) => Some(""),
            (_, Some("0" | "FALSE")) => Some("-0"),
            (_, Some("1" | "true")) => Some("-1"),
            _ => None,
        };
        let single = match (&trace, &span, state) {
            (Some(trace), Some(span), Some(state)) => b3(&format!("{}-{}{state}", trace.trim_ascii(), span.trim_ascii())),
            (None, None, Some(_)) => Some(None),
            _ => None,
        };
        match single {
            Some(Some((trace, span, state))) => {
                let context = found.expect("a span context");
                prop_assert_eq!((context.trace_id().to_string(), context.span_id().to_string()), (trace, span));
                prop_assert_eq!(context.is_sampled(), state.unwrap_or(true));
            }
            Some(None) => prop_assert_eq!(found.is_some(), state == Some("-0")),
            None => prop_assert!(found.is_none() && counted, "{:?} is {:?}", all, found),
        }
    }

    #[test]
    fn p_a_written_context_is_read_unchanged(
        trace in 1..=u128::MAX, span in 1..=u64::MAX, sampled: bool,
        state in prop::collection::btree_map("[a-z][a-z0-9_*/-]{0,6}", "[!-+.-<>-~]{1,8}", 0..4),
        baggage in prop::collection::btree_map("[a-zA-Z!#$%&'*+.^_`|~-]{1,6}", ("\\PC{0,12}|[\\x00-\\x7f]{0,6}", "[a-z=;]{0,4}"), 0..8),
    ) {
        let state = TraceState::from_key_value(state).unwrap();
        let flags = TraceFlags::default().with_sampled(sampled);
        let sent = SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, true, state);
        let entries = baggage.into_iter().map(|(key, (value, metadata))| {
            (Key::from(key), (StringValue::from(value), BaggageMetadata::from(metadata)))
        });
        let entries: Baggage = entries.collect();
        let context = Context::new().with_remote_span_context(sent.clone()).with_baggage(entries);
        let w3c = read(&ALL[..2], &write(&ALL[..2], &context));
        prop_assert_eq!(contents(&w3c), contents(&context));
        // B3 cannot carry a trace state.
        let plain = SpanContext::new(sent.trace_id(), sent.span_id(), flags, true, TraceState::NONE);
        for format in ["b3", "b3multi"] {
            let found = read(&[format], &write(&[format], &context));
            prop_assert_eq!(contents(&found).0, Some(plain.clone()));
        }
        // A second round trip gives the same headers.
        let again = write(&ALL[..1], &w3c);
        prop_assert_eq!(again, write(&ALL[..1], &context));
    }

    #[test]
    fn p_any_text_in_any_header_does_no_harm_and_what_is_read_is_written(
        texts in prop::collection::vec((select(&HEADERS[..]), "\\PC{0,40}|[\\x00-\\x7f]{0,60}"), 0..8),
        near in (near_traceparent(), near_tracestate(), near_baggage(), near_b3()),
    ) {
        let mut all = fields(&[("traceparent", &near.0), ("tracestate", &near.1), ("baggage", &near.2), ("b3", &near.3)]);
        all.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), text)));
        for formats in [&ALL[..], &ALL[..2], &ALL[2..3], &ALL[3..]] {
            let first = read(formats, &all);
            let (span, baggage) = contents(&first);
            let sent = write(formats, &first);
            // What is written is a valid header value.
            for (name, value) in &sent {
                prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}: {:?}", name, value);
                prop_assert!(value.len() <= 32 * 514, "{} has {} bytes", name, value.len());
            }
            prop_assert!(sent.get("baggage").is_none_or(|it| it.len() <= 8_192) && baggage.len() <= 64);
            let (again, more) = contents(&read(formats, &sent));
            prop_assert_eq!(&more, &baggage);
            prop_assert_eq!(again.is_some(), span.is_some());
            if let (Some(again), Some(span)) = (again, span) {
                prop_assert_eq!((again.trace_id(), again.span_id()), (span.trace_id(), span.span_id()));
                prop_assert_eq!(again.is_sampled(), span.is_sampled());
            }
        }
    }

    #[test]
    fn p_any_bytes_in_requests_do_no_harm(
        headers in prop::collection::vec((select(&HEADERS[..]), prop::collection::vec(any::<u8>(), 0..80)), 0..10),
        parent in near_traceparent(),
    ) {
        let mut request = http::Request::new(());
        let parent = [("traceparent", parent.into_bytes())];
        for (name, value) in headers.iter().cloned().chain(parent) {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        let only = |text: &http::HeaderValue| text.to_str().is_ok_and(is_traceparent);
        let parents: Vec<_> = request.headers().get_all("traceparent").iter().map(only).collect();
        let found = Cell::new(false);
        let service = service_fn(|_: http::Request<()>| async {
            found.set(Context::current().has_active_span());
            Ok::<_, Infallible>(http::Response::new(String::new()))
        });
        let service = plain().http_server_layer().layer(service);
        tokio_test::block_on(service.oneshot(request)).unwrap();
        // Two `traceparent` headers count as none.
        prop_assert_eq!(found.get(), parents == [true]);
    }
}

#[test]
fn baggage_is_bounded_by_number_and_by_bytes() {
    let many: Vec<_> = (0..5_000).map(|n| format!("k{n}=v")).collect();
    let long: Vec<_> = (0..64).map(|n| format!("k{n}={}", "v".repeat(1_000))).collect();
    for (text, most) in [(many.join(","), 64), (long.join(","), 8), ("k=v,".repeat(100_000), 1)] {
        let found = Cell::new(Vec::new());
        assert!(counts("baggage", || found.set(entries(&read(&["baggage"], &fields(&[("baggage", &text)]))))));
        let found = found.take();
        assert_eq!(found.len(), most);
        let context = read(&["baggage"], &fields(&[("baggage", &text)]));
        assert!(write(&["baggage"], &context)["baggage"].len() <= 8_192);
    }
}
