//! The words of a name.

use super::steps::count;

/// The maximum length of a known name. Longer names are compared with an allocation, shorter ones without.
pub(super) const SHORT: usize = 64;

/// The words of a name, in lower case and without separators.
///
/// `X-Auth-Token`, `x_auth_token`, `xAuthToken` and `XAuthTOKEN` are the same.
pub(super) struct Words {
    short: [u8; SHORT],
    length: usize,
    /// A bit for each byte that begins a word.
    starts: u64,
    /// Used instead if letters are not ASCII or the name is too long. Allocated; rare.
    long: Option<(Vec<u8>, Vec<bool>)>,
}

impl Words {
    pub(super) fn of(name: &[u8]) -> Self {
        count(name.len());
        let (mut short, mut length, mut starts) = ([0; SHORT], 0, 0);
        if name.len() <= SHORT {
            let (mut before, mut odd) = (OTHER, false);
            let mut kind = name.first().map_or(OTHER, |byte| KINDS[usize::from(*byte)]);
            for (at, byte) in name.iter().enumerate() {
                let next = name.get(at + 1).map_or(OTHER, |next| KINDS[usize::from(*next)]);
                let begins = kind != OTHER && begins(before, kind, next);
                odd |= kind == ODD;
                // A byte that does not count is overwritten by the next one.
                short[length % SHORT] = byte | (kind & UPPER);
                starts |= u64::from(begins) << (length % SHORT);
                length += usize::from(kind != OTHER);
                (before, kind) = (kind, next);
            }
            if !odd {
                let starts = if length < SHORT { starts & ((1 << length) - 1) } else { starts };
                return Self { short, length, starts, long: None };
            }
        }
        Self { short, length: 0, starts: 0, long: Some(long(&String::from_utf8_lossy(&decoded(name)))) }
    }

    /// All words as one.
    pub(super) fn all(&self) -> &[u8] {
        self.long.as_ref().map_or(&self.short[..self.length], |(bytes, _)| bytes)
    }

    /// Whether a word begins at `at`, or the last one ends there.
    pub(super) fn is_edge(&self, at: usize) -> bool {
        match &self.long {
            Some((bytes, starts)) => at == bytes.len() || starts.get(at).is_some_and(|start| *start),
            None => at == self.length || (at < SHORT && self.starts >> at & 1 == 1),
        }
    }

    /// The start of the next word at or after `at`.
    pub(super) fn start_from(&self, at: usize) -> Option<usize> {
        match &self.long {
            Some((_, starts)) => starts.iter().skip(at).position(|start| *start).map(|place| at + place),
            None if at >= SHORT => None,
            None => match self.starts >> at {
                0 => None,
                rest => Some(at + rest.trailing_zeros() as usize),
            },
        }
    }

    /// The last of the words.
    pub(super) fn last(&self) -> (usize, &[u8]) {
        let start = match &self.long {
            Some((_, starts)) => starts.iter().rposition(|start| *start).unwrap_or(0),
            None => (u64::BITS - 1 - self.starts.max(1).leading_zeros()) as usize,
        };
        (start, &self.all()[start..])
    }
}

/// The kinds of bytes. `UPPER` is also the bit that makes a capital letter a small one.
const OTHER: u8 = 0;
const LOWER: u8 = 1;
const DIGIT: u8 = 2;
const UPPER: u8 = 0x20;
/// Needs the slow path: letters that are not ASCII, and the first bytes of escapes.
const ODD: u8 = 4;

const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b'%' | b'\\' | 0x80.. => ODD,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};

/// Whether a word begins with a character of this kind: with `K` in `apiKey`, with `T` in `HTTPToken`.
#[inline]
fn begins(before: u8, kind: u8, next: u8) -> bool {
    (before != kind && !(before == UPPER && kind == LOWER))
        || (before == UPPER && kind == UPPER && next == LOWER)
}

fn kind(c: char) -> u8 {
    match c {
        '%' | '\\' => OTHER,
        c if c.is_ascii() => KINDS[c as usize],
        c if c.is_uppercase() => UPPER,
        c if c.is_alphabetic() => LOWER,
        c if c.is_numeric() => DIGIT,
        _ => OTHER,
    }
}

#[cold]
fn long(name: &str) -> (Vec<u8>, Vec<bool>) {
    let (mut text, mut starts) = (String::new(), Vec::new());
    let mut before = OTHER;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let kind_of_c = kind(c);
        if kind_of_c != OTHER {
            let begins = begins(before, kind_of_c, chars.peek().map_or(OTHER, |next| kind(*next)));
            let from = text.len();
            text.extend(c.to_lowercase());
            starts.push(begins);
            starts.resize(text.len(), false);
            debug_assert!(from < text.len());
        }
        before = kind_of_c;
    }
    (text.into_bytes(), starts)
}

/// The name without escapes, such as `%5F` in a query and `\u005f` in JSON.
fn decoded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        let hex = |from: usize, to: usize| {
            let digits = std::str::from_utf8(name.get(from..to)?).ok()?;
            u32::from_str_radix(digits, 16).ok()
        };
        match (byte, name.get(at + 1)) {
            (b'%', _) if hex(at + 1, at + 3).is_some() => {
                out.push(hex(at + 1, at + 3).unwrap_or_default() as u8);
                at += 3;
            }
            (b'\\', Some(b'u')) if hex(at + 2, at + 6).is_some() => {
                let c = hex(at + 2, at + 6).and_then(char::from_u32).unwrap_or(' ');
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                at += 6;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}
