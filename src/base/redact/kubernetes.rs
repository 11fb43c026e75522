//! Kubernetes secrets: all values in their `data` are secret, under any name.

use std::ops::Range;

use super::bytes::{is_blank, is_name, is_quote};
use super::rule::Rule;
use super::search::{Evidence, Finding, Search};
use super::steps::{ahead, behind, count, find, find_text};
use super::values::Context;

impl Search<'_> {
    /// Hides the data of documents with `kind: Secret`.
    pub(super) fn kubernetes(&mut self) {
        let bytes = self.bytes;
        let Some(rule) = self.is_secret(b"secret") else { return };
        if !is_kubernetes_secret(bytes) {
            return;
        }
        let mut from = 0;
        while let Some(sign) = find(b':', bytes, from) {
            let before = from;
            from = sign + 1;
            let end = behind(bytes, sign, 2.min(sign - before), |byte| is_quote(byte) || byte == b'\\');
            let start = behind(bytes, end, 16.min(end - before), is_name);
            let name = start..end;
            if !matches!(&bytes[name.clone()], b"data" | b"stringData") {
                continue;
            }
            let next = ahead(bytes, from, usize::MAX, is_blank);
            from = match bytes.get(next) {
                Some(b'{') => {
                    let place = self.value(next, Context::Colon).place;
                    let end = place.end;
                    if place.len() > 2 {
                        let evidence = Evidence::Named(name);
                        self.add(Finding {
                            place,
                            treatment: rule.treatment,
                            evidence,
                            quoted: true,
                            decoded: None,
                        });
                    }
                    end
                }
                Some(b'\r' | b'\n') => self.block(next, rule, name),
                _ => next,
            };
        }
    }

    /// Hides the values on the lines after `from` that are indented more than `name`. Returns the end of these lines.
    fn block(&mut self, from: usize, rule: Rule, name: Range<usize>) -> usize {
        let bytes = self.bytes;
        let line = behind(bytes, name.start, 64, |byte| byte != b'\n');
        let (outer, mut inner) = (name.start - line, None);
        let mut at = from;
        while let Some(newline) = find(b'\n', bytes, at) {
            let start = ahead(bytes, newline + 1, usize::MAX, |byte| byte == b' ');
            let end = ahead(bytes, start, usize::MAX, |byte| !matches!(byte, b'\r' | b'\n'));
            let indent = start - newline - 1;
            if end > start && indent <= outer {
                return start;
            }
            at = end;
            // Lines with more indentation continue a value.
            let is_pair = indent <= *inner.get_or_insert(indent);
            let sign = if is_pair { find(b':', &bytes[..end], start) } else { None };
            let value = match sign {
                Some(sign) => ahead(bytes, sign + 1, usize::MAX, is_blank),
                None => start,
            };
            // A block scalar: the value is on the next lines.
            let is_block = sign.is_some() && matches!(bytes[value..end], [b'|' | b'>'] | [b'|' | b'>', _]);
            if value < end && !is_block {
                self.named(value..end, rule, name.clone());
            }
        }
        bytes.len()
    }
}

/// Whether a document is a Kubernetes secret.
fn is_kubernetes_secret(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(kind) = find_text(b"kind", bytes, from) {
        from = kind + "kind".len();
        let value = ahead(bytes, from, 8, |byte| is_quote(byte) || matches!(byte, b'\\' | b':' | b' '));
        count(1);
        if value > from
            && bytes[value..].starts_with(b"Secret")
            && !bytes.get(value + "Secret".len()).is_some_and(|byte| is_name(*byte))
        {
            return true;
        }
    }
    false
}
