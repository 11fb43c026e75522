//! A quick scan of a text. Most texts have no traits of secrets and are not searched further.
//!
//! Every attribute of every span is scanned. The loops are written so that the compiler vectorizes them.

use super::bytes::{in_number, in_run};
use super::steps::{ahead, behind, count};
use super::tokens;

/// The traits of a text, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits(u16);

/// `=`, `:` or `>`, as between a name and its value.
pub(super) const SIGN: u16 = 1;
/// `@`, or `%` as in `%40`, as in an e-mail address or a URL.
pub(super) const AT: u16 = 2;
/// Possibly the word `bearer` or `basic`.
pub(super) const SCHEME: u16 = 4;
/// Possibly the beginning of a PEM key.
pub(super) const KEY: u16 = 8;
/// A bracket and a quote, as before a pair of strings.
pub(super) const PAIR: u16 = 16;
/// A blank and a dash, or two dashes, as before an argument.
pub(super) const ARGUMENT: u16 = 32;
/// Possibly an escaped character: `&quot;`, `\u0026`, `\/`. For those of URLs see [`AT`].
pub(super) const ESCAPE: u16 = 64;
/// A blank and a quote, as before a value without a sign: `PASSWORD '…'`.
pub(super) const QUOTED: u16 = 128;
/// A run of digits and separators that is as long as a card number or an account number.
pub(super) const DIGITS: u16 = 256;
/// A run of bytes that is as long as a token.
pub(super) const TOKEN: u16 = 512;

impl Traits {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        count(text.len());
        let mut bits = u16::from(bits(text));
        if text.len() >= MIN_DIGITS && digits(text) {
            bits |= DIGITS;
        }
        if text.len() >= tokens::SHORTEST && run(text) {
            bits |= TOKEN;
        }
        Self(bits)
    }

    /// Whether there is anything to look for.
    #[inline]
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether the text has one of the traits `bits`.
    #[inline]
    pub(super) fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// The number of bytes that are examined together.
const BLOCK: usize = 16;
/// The distance of the bytes that are compared with `b…re` and `b…ic`, for `bearer` and `basic`.
const REACH: usize = 4;

#[inline]
fn bits(text: &[u8]) -> u8 {
    if text.len() < BLOCK + REACH {
        return short(text);
    }
    let mut bits = [0; BLOCK];
    let mut at = 0;
    while at < text.len() - REACH {
        // The last block overlaps the previous one.
        let from = at.min(text.len() - BLOCK - REACH);
        scan_block(&mut bits, &text[from..]);
        at += BLOCK;
    }
    // The rest is too short for credentials.
    short(&text[text.len() - REACH..]) | bits.iter().fold(0, |all, bits| all | bits)
}

#[inline]
fn scan_block(bits: &mut [u8; BLOCK], text: &[u8]) {
    const fn bit(of: u16) -> u8 {
        of as u8
    }
    let array = |from: usize| text.get(from..).and_then(<[u8]>::first_chunk::<BLOCK>);
    if let (Some(first), Some(second), Some(fourth), Some(fifth)) =
        (array(0), array(1), array(REACH - 1), array(REACH))
    {
        for place in 0..BLOCK {
            let (byte, next) = (first[place], second[place]);
            let (fourth, fifth) = (fourth[place] | 0x20, fifth[place] | 0x20);
            let is = |yes: bool| if yes { u8::MAX } else { 0 };
            // `:` and `>` differ in one bit.
            let sign = is(byte == b'=') | is(byte & !4 == b':');
            let at = is(byte == b'@') | is(byte == b'%');
            let scheme = is(byte | 0x20 == b'b')
                & ((is(fourth == b'r') & is(fifth == b'e')) | (is(fourth == b'i') & is(fifth == b'c')));
            let (dash, blank, slash) = (is(byte == b'-'), is(byte == b' '), is(byte == b'\\'));
            // `"` and `'` differ in two bits: a mask like the one above would also match `#` and `&`.
            let (quote, escape) = (is(next == b'"') | is(next == b'\''), is(next == b'\\'));
            let pair = (is(byte == b'(') | is(byte == b'['))
                & (quote | escape | is(next == b'\n') | is(next == b'b'));
            let argument = (dash | blank) & is(next == b'-');
            let writing = (slash & (is(next == b'u') | is(next == b'/')))
                | (is(byte == b'&') & (is(next == b'q') | is(next == b'l') | is(next == b'#')));
            bits[place] |= (sign & bit(SIGN))
                | (at & bit(AT))
                | (scheme & bit(SCHEME))
                | (dash & is(next == b'B') & bit(KEY))
                | (pair & bit(PAIR))
                | (argument & bit(ARGUMENT))
                | (writing & bit(ESCAPE))
                | (blank & quote & bit(QUOTED));
        }
    }
}

/// The same for a text that is too short for a block.
#[inline]
fn short(text: &[u8]) -> u8 {
    // Most texts have none of these bytes.
    let bits = text.iter().fold(0, |bits, byte| bits | FIRST[usize::from(*byte)]);
    let room = text.len() >= SHORTEST_CREDENTIALS;
    if bits == 0 || (bits == SCHEME as u8 && !room) { 0 } else { of_two(text) }
}

/// The bits of a text. Most of them depend on two adjacent bytes.
fn of_two(text: &[u8]) -> u8 {
    let Some(last) = text.last() else { return 0 };
    let pairs = text.iter().zip(&text[1..]);
    let bits = pairs.fold(FIRST[usize::from(*last)] & ALONE, |bits, (byte, next)| {
        bits | (FIRST[usize::from(*byte)] & SECOND[usize::from(*next)])
    });
    if bits & SCHEME as u8 != 0 && !scheme(text) { bits & !(SCHEME as u8) } else { bits }
}

/// The length of the shortest credentials with their scheme.
const SHORTEST_CREDENTIALS: usize = "basic 12345678".len();

fn scheme(text: &[u8]) -> bool {
    text.windows(SHORTEST_CREDENTIALS).any(|window| {
        window[0] | 0x20 == b'b'
            && matches!([window[3] | 0x20, window[4] | 0x20], [b'r', b'e'] | [b'i', b'c'])
    })
}

/// The bits that depend on one byte only.
const ALONE: u8 = (SIGN | AT | SCHEME) as u8;

/// The bits that a byte allows as the first of two.
const FIRST: [u8; 256] = table(&[
    (b"=:>", SIGN),
    (b"@%", AT),
    (b"bB", SCHEME),
    (b"([", PAIR),
    (b"-", ARGUMENT | KEY),
    (b" ", ARGUMENT | QUOTED),
    (b"\\&", ESCAPE),
]);
/// The bits that a byte allows as the second of two.
const SECOND: [u8; 256] = {
    let mut table = table(&[
        (b"\"'", PAIR | QUOTED),
        (b"\\\nb", PAIR),
        (b"-", ARGUMENT),
        (b"B", KEY),
        (b"u/ql#", ESCAPE),
    ]);
    let mut byte = 0;
    while byte < 256 {
        table[byte] |= ALONE;
        byte += 1;
    }
    table
};

const fn table(of: &[(&[u8], u16)]) -> [u8; 256] {
    let mut table = [0; 256];
    let mut row = 0;
    while row < of.len() {
        let (bytes, bits) = of[row];
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] |= bits as u8;
            at += 1;
        }
        row += 1;
    }
    table
}

/// The minimum number of digits in a card number or an account number.
const MIN_DIGITS: usize = 10;

/// Whether a run of digits and separators is as long as a number.
///
/// Such a run includes at least one of every ten bytes. The bytes around that one are examined only if it may be part of a
/// number.
#[inline]
fn digits(text: &[u8]) -> bool {
    let mut place = MIN_DIGITS - 1;
    while let Some(byte) = text.get(place) {
        if !in_number(*byte) {
            place += MIN_DIGITS;
            continue;
        }
        let from = behind(text, place, MIN_DIGITS, in_number);
        let to = ahead(text, place, usize::MAX, in_number);
        if to - from >= MIN_DIGITS
            && text[from..to].iter().filter(|byte| byte.is_ascii_digit()).count() >= MIN_DIGITS
        {
            return true;
        }
        // The byte at `to` is not part of a number.
        place = to + MIN_DIGITS;
    }
    false
}

/// Whether a run of bytes is as long as a token.
#[inline]
fn run(text: &[u8]) -> bool {
    let mut place = tokens::SHORTEST - 1;
    while let Some(byte) = text.get(place) {
        if !in_run(*byte) {
            place += tokens::SHORTEST;
            continue;
        }
        let from = behind(text, place, tokens::SHORTEST, in_run);
        let to = ahead(text, place, tokens::SHORTEST, in_run);
        if to - from >= tokens::SHORTEST {
            return true;
        }
        place = to + tokens::SHORTEST;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trait_is_found_at_each_place() {
        for length in 0..60 {
            // A long word could be a token.
            let harmless = "mmm.".repeat(length / 4 + 1);
            let harmless = &harmless[..length];
            assert_eq!(Traits::of(harmless.as_bytes()), Traits::default());
            for place in 0..=length {
                let with = |what: &str| {
                    let text = format!("{}{what}{}", &harmless[..place], &harmless[place..]);
                    Traits::of(text.as_bytes())
                };
                for (bit, texts) in [
                    (SIGN, &["=", ":", ">"] as &[&str]),
                    (AT, &["@", "%40"]),
                    (SCHEME, &["Bearer abcdefgh", "bASIC abcdefgh"]),
                    (DIGITS, &["4222222222222", "4242 4242-4242 4242", "0417164300"]),
                    (PAIR, &["(\"a\",", "['a', ", "(\n  \"a\"", "(b'a'"]),
                    (ARGUMENT, &["--pwd x", " -p x"]),
                    (ESCAPE, &["&quot;", "&#34;", "&lt;", "\\u0026", "\\/"]),
                    (QUOTED, &[" 'x'", " \"x\""]),
                    (KEY, &["-----BEGIN PRIVATE KEY-----"]),
                    (
                        TOKEN,
                        &[
                            "AKIAIOSFODNN7EXAMPLE",
                            "eyJhbGciOiJIUzI1NiJ9.e30.abcdefgh",
                            "sk_live_0123456789abcdef",
                            "github_pat_0123456789abcdefghij",
                            "xoxb-0123456789abcde",
                        ],
                    ),
                ] {
                    for text in texts {
                        assert!(with(text).has(bit), "{text} at {place} of {length}");
                    }
                }
                assert_eq!(with("422222222"), Traits::default(), "{place} of {length}");
            }
        }
    }
}
