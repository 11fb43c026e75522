//! Values on the lines after their name, as in YAML and after password prompts.

use super::bytes::{is_blank, is_name, is_quote};
use super::pair::Pair;
use super::search::Search;
use super::steps::{ahead, behind};
use super::values::Value;

/// How many bytes before a name are read to find the start of its line.
const BACK: usize = 128;
/// The maximum length of a line that is a password alone.
const WORD: usize = 256;

/// First words of prompts.
const ASKS: &[&[u8]] = &[b"enter", b"type", b"new", b"your", b"repeat", b"confirm", b"current"];

impl Search<'_> {
    /// The value on the lines after the line of `pair`, if the rest of that line, from `from` on, is empty.
    pub(super) fn next_lines(&mut self, pair: &Pair, from: usize) -> Option<Value> {
        let bytes = self.bytes;
        // The indicator of a YAML block: `|`, `>`, `|-`, `>2`.
        let block = matches!(bytes.get(from), Some(b'|' | b'>')) || pair.after > pair.sign + 1;
        let sign = if matches!(bytes.get(from), Some(b'|' | b'>')) { from + 1 } else { from };
        let end = ahead(bytes, sign, 3, |byte| block && matches!(byte, b'-' | b'+' | b'0'..=b'9'));
        let end = ahead(bytes, end, WORD, is_blank);
        let first = match bytes.get(end..)? {
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            _ => return None,
        };
        let next = ahead(bytes, first, WORD, |byte| byte.is_ascii_whitespace());
        let own_line = behind(bytes, pair.name.start, BACK, |byte| byte != b'\n');
        let before = &bytes[own_line..pair.name.start];
        let indent = ahead(before, 0, usize::MAX, |byte| byte == b' ');
        let is_key = before.iter().all(|byte| is_blank(*byte) || is_quote(*byte) || *byte == b'-');
        if let Some(quote) = bytes.get(next)
            && is_quote(*quote)
            && (is_key || is_quote(bytes[pair.sign - 1]))
        {
            let end = self.closing(next + 1, *quote, 0).unwrap_or(bytes.len());
            return Some(Value { place: next + 1..end, quoted: true });
        }
        if is_key {
            let (mut at, mut last) = (first, first);
            while at < bytes.len() {
                let text = ahead(bytes, at, usize::MAX, |byte| byte == b' ');
                let line = ahead(bytes, text, usize::MAX, |byte| byte != b'\n');
                let empty = ahead(bytes, text, usize::MAX, |byte| byte == b'\r') == line;
                let deeper = text - at > indent;
                let item = text - at == indent && !block && bytes[text..line].starts_with(b"- ");
                if !empty && !deeper && !item {
                    break;
                }
                if empty && !block {
                    break;
                }
                if !empty {
                    last = line;
                }
                at = line + 1;
            }
            if last > first {
                let start = ahead(bytes, first, usize::MAX, is_blank);
                let end = behind(bytes, last, last - start, |byte| byte.is_ascii_whitespace());
                return Some(Value { place: start..end.max(start), quoted: true });
            }
        }
        let asks = ASKS
            .iter()
            .any(|word| before.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        let end = ahead(bytes, first, WORD, |byte| !byte.is_ascii_whitespace());
        let word = &bytes[first..end];
        let ends = bytes.get(end).is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
        let pair_of_its_own = matches!(word.get(ahead(word, 0, WORD, is_name)), Some(b':' | b'='));
        ((is_key || asks)
            && ends
            && !word.is_empty()
            && !pair_of_its_own
            && !matches!(word[0], b'<' | b'{' | b'}'))
        .then_some(Value { place: first..end, quoted: false })
    }
}
