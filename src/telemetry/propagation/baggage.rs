//! W3C Baggage: values that travel with a request.
//!
//! The propagator of the SDK (0.33.1) is not used. It reads only the first of several headers, cuts a value at a second `=`,
//! drops all entries of a header that is too long, writes `%` and the metadata unescaped and at any length, and does not
//! report what was malformed.

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::carrier::{Carrier, Field, Writer};
use super::ignored::{self, Header, Reason};

static BAGGAGE: Field = Field::new("baggage");

pub(super) const FIELDS: [&Field; 1] = [&BAGGAGE];

/// The limits of the specification: entries and bytes.
const ENTRIES: usize = 64;
const BYTES: usize = 8_192;

/// The ASCII characters that are escaped in a value. Other characters always are.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The baggage of a request. Malformed entries are left out, and so are those beyond the limits.
pub(super) fn extract(carrier: &impl Carrier) -> Option<Baggage> {
    let mut baggage: Option<Baggage> = None;
    let mut bytes = 0;
    carrier.for_each_value(&BAGGAGE, |value| {
        let Some(value) = value else {
            ignored::count(Header::Baggage, Reason::Malformed);
            return;
        };
        for entry in value.split(',') {
            // With the comma.
            bytes += entry.len() + 1;
            if entry.trim_ascii().is_empty() {
                continue;
            }
            let kept = baggage.get_or_insert_default();
            if bytes > BYTES + 1 || kept.len() >= ENTRIES {
                ignored::count(Header::Baggage, Reason::TooLarge);
                return;
            }
            if !parse_entry(entry, kept) {
                ignored::count(Header::Baggage, Reason::Malformed);
            }
        }
    });
    baggage.filter(|baggage| !baggage.is_empty())
}

/// `key=value;metadata`
fn parse_entry(entry: &str, baggage: &mut Baggage) -> bool {
    let (pair, metadata) = entry.split_once(';').unwrap_or((entry, ""));
    let Some((key, value)) = pair.split_once('=') else { return false };
    let (key, value) = (key.trim_ascii(), value.trim_ascii());
    let metadata = metadata.trim_ascii();
    let octet = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
    if !value.bytes().all(octet) || !metadata.bytes().all(is_text) {
        return false;
    }
    let value = percent_decode_str(value).decode_utf8_lossy();
    baggage.insert_with_metadata(key.to_owned(), value.clone().into_owned(), metadata.to_owned());
    // A key must be a token.
    baggage.get(key).is_some_and(|taken| taken.as_str() == value)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

pub(super) fn inject(context: &Context, writer: &mut impl Writer) {
    let baggage = context.baggage();
    if baggage.is_empty() {
        return;
    }
    let mut line = String::new();
    for (entries, (key, (value, metadata))) in baggage.iter().enumerate() {
        let before = line.len();
        if entries > 0 {
            line.push(',');
        }
        line.push_str(key.as_str());
        line.push('=');
        line.extend(utf8_percent_encode(value.as_str(), ENCODED));
        // A comma would start another entry.
        let metadata = metadata.as_str().trim_ascii();
        if !metadata.is_empty() && metadata.bytes().all(|byte| is_text(byte) && byte != b',') {
            line.push(';');
            line.push_str(metadata);
        }
        if line.len() > BYTES {
            line.truncate(before);
            ignored::count(Header::Baggage, Reason::TooLarge);
            break;
        }
    }
    if !line.is_empty() {
        writer.set(&BAGGAGE, line);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::KeyValue;

    use super::super::carrier::{ExtractorCarrier, InjectorWriter};
    use super::*;

    fn read(text: &str) -> Vec<(String, String, String)> {
        let fields = HashMap::from([("baggage".to_owned(), text.to_owned())]);
        let baggage = extract(&ExtractorCarrier(&fields)).unwrap_or_default();
        let mut found: Vec<_> = baggage
            .iter()
            .map(|(key, (value, metadata))| {
                (key.to_string(), value.to_string(), metadata.as_str().to_owned())
            })
            .collect();
        found.sort();
        found
    }

    fn entry(key: &str, value: &str, metadata: &str) -> (String, String, String) {
        (key.to_owned(), value.to_owned(), metadata.to_owned())
    }

    #[test]
    fn entries_are_read_and_decoded() {
        assert_eq!(
            read("a=1 , b = two%20words;p=1;q,c=%C3%A4%2C"),
            [entry("a", "1", ""), entry("b", "two words", "p=1;q"), entry("c", "ä,", "")]
        );
        assert_eq!(read("a=,b=x=y,,"), [entry("a", "", ""), entry("b", "x=y", "")]);
        assert_eq!(
            read("a=100%,b=%zz,c=%FF"),
            [entry("a", "100%", ""), entry("b", "%zz", ""), entry("c", "\u{fffd}", "")]
        );
    }

    #[test]
    fn a_malformed_entry_does_not_affect_the_others() {
        assert_eq!(read("nothing,a b=1,=1,c=\"d\",e=ä,f=\u{1},g=1;h\r\ni: 1,ok=1"), [entry("ok", "1", "")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn limits_hold() {
        let many: Vec<_> = (0..200).map(|n| format!("k{n}=v")).collect();
        assert_eq!(read(&many.join(",")).len(), ENTRIES);
        let large = format!("a={},b=1", "x".repeat(BYTES - 4));
        assert_eq!(read(&large).len(), 1);
        assert_eq!(read(&format!("b=1,a={}", "x".repeat(BYTES))), [entry("b", "1", "")]);
        assert_eq!(read(&format!("a={}", "x".repeat(BYTES - 2))).len(), 1);
    }

    #[test]
    fn written_baggage_can_be_read_and_is_within_the_limit() {
        let write = |baggage: Vec<KeyValue>| {
            let mut written = HashMap::new();
            inject(&Context::new().with_baggage(baggage), &mut InjectorWriter(&mut written));
            written.remove("baggage").unwrap_or_default()
        };
        let nasty = "a,b;c=d \"e\" \\ 100% ä\r\n";
        assert_eq!(read(&write(vec![KeyValue::new("k", nasty)])), [entry("k", nasty, "")]);
        let long: Vec<_> = (0..8).map(|n| KeyValue::new(format!("k{n}"), "ä".repeat(500))).collect();
        let line = write(long);
        assert!(line.len() <= BYTES && read(&line).len() == 2, "{}", line.len());
        assert_eq!(write(Vec::new()), "");
        let mut written = HashMap::new();
        let long = Context::new().with_baggage([KeyValue::new("k", "ä".repeat(4_000))]);
        inject(&long, &mut InjectorWriter(&mut written));
        assert_eq!(written, HashMap::new(), "not even an empty one");
    }
}
