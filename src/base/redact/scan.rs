//! A quick scan of a text. Most texts have nothing by which a secret could be found, and are not searched further.
//!
//! Every attribute of every span is scanned. The loops are written so that the compiler vectorizes them.

use super::bytes::{in_number, in_run};
use super::steps::{ahead, behind, count};
use super::tokens;

/// The traits of a text, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits(u16);

/// `=`, `:` or `>`, which stand between a name and its value.
pub(super) const SIGN: u16 = 1;
/// `@`, or `%` as in `%40`, which stand in an address.
pub(super) const AT: u16 = 2;
/// What may be the word `bearer` or `basic`.
pub(super) const SCHEME: u16 = 4;
/// What may be the beginning of a key in PEM.
pub(super) const KEY: u16 = 8;
/// A bracket and a quote, as before a pair of texts.
pub(super) const PAIR: u16 = 16;
/// A blank and a dash, or two dashes, as before an argument.
pub(super) const ARGUMENT: u16 = 32;
/// What may stand for another character: `&quot;`, `\u0026`, `\/`; those of a URL are `AT`.
pub(super) const ESCAPE: u16 = 64;
/// A blank and a quote, as before a text without a sign: `PASSWORD '…'`.
pub(super) const QUOTED: u16 = 128;
/// As many digits and separators together as the number of a card or of an account has.
pub(super) const DIGITS: u16 = 256;
/// As many bytes together as a token has.
pub(super) const TOKEN: u16 = 512;

impl Traits {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        count(text.len());
        let mut bits = u16::from(bits(text));
        if text.len() >= FEWEST && digits(text) {
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

    /// Whether the text has one of these.
    #[inline]
    pub(super) fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;
/// `b`, two letters, `re` or `ic`: the last of them is so far from the first.
const REACH: usize = 4;

#[inline]
fn bits(text: &[u8]) -> u8 {
    if text.len() < BLOCK + REACH {
        return short(text);
    }
    let mut bits = [0; BLOCK];
    let mut at = 0;
    while at < text.len() - REACH {
        // The last one lies over the one before it.
        let from = at.min(text.len() - BLOCK - REACH);
        look(&mut bits, &text[from..]);
        at += BLOCK;
    }
    // So near the end there is no room for credentials.
    short(&text[text.len() - REACH..]) | bits.iter().fold(0, |all, bits| all | bits)
}

#[inline]
fn look(bits: &mut [u8; BLOCK], text: &[u8]) {
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
            // `"` and `'` differ in two bits, of which `$` and `&` have others.
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

/// The same for a text that is too short for the quick way.
#[inline]
fn short(text: &[u8]) -> u8 {
    // Most have none of these bytes at all.
    let bits = text.iter().fold(0, |bits, byte| bits | FIRST[usize::from(*byte)]);
    let room = text.len() >= SCHEMES;
    if bits == 0 || (bits == SCHEME as u8 && !room) { 0 } else { of_two(text) }
}

/// The bits of a text, of which most take two bytes that follow each other.
fn of_two(text: &[u8]) -> u8 {
    let Some(last) = text.last() else { return 0 };
    let pairs = text.iter().zip(&text[1..]);
    let bits = pairs.fold(FIRST[usize::from(*last)] & ALONE, |bits, (byte, next)| {
        bits | (FIRST[usize::from(*byte)] & SECOND[usize::from(*next)])
    });
    if bits & SCHEME as u8 != 0 && !scheme(text) { bits & !(SCHEME as u8) } else { bits }
}

/// Bytes of the shortest credentials with their scheme.
const SCHEMES: usize = "basic 12345678".len();

fn scheme(text: &[u8]) -> bool {
    text.windows(SCHEMES).any(|window| {
        window[0] | 0x20 == b'b'
            && matches!([window[3] | 0x20, window[4] | 0x20], [b'r', b'e'] | [b'i', b'c'])
    })
}

/// The bits of one byte.
const ALONE: u8 = (SIGN | AT | SCHEME) as u8;

/// The bits that a byte may begin, and those that the next one lets stand.
const FIRST: [u8; 256] = table(&[
    (b"=:>", SIGN),
    (b"@%", AT),
    (b"bB", SCHEME),
    (b"([", PAIR),
    (b"-", ARGUMENT | KEY),
    (b" ", ARGUMENT | QUOTED),
    (b"\\&", ESCAPE),
]);
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

/// Digits that stand together in every number of a card or an account.
const FEWEST: usize = 10;

/// Whether a run of digits and separators is as long as a number.
///
/// Such a run covers one of every ten bytes: the others are looked at only around those that it may cover.
#[inline]
fn digits(text: &[u8]) -> bool {
    let mut place = FEWEST - 1;
    while let Some(byte) = text.get(place) {
        if !in_number(*byte) {
            place += FEWEST;
            continue;
        }
        let from = behind(text, place, FEWEST, in_number);
        let to = ahead(text, place, usize::MAX, in_number);
        if to - from >= FEWEST && text[from..to].iter().filter(|byte| byte.is_ascii_digit()).count() >= FEWEST
        {
            return true;
        }
        // What stands at `to` is in no number.
        place = to + FEWEST;
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
    fn nothing_escapes_wherever_it_stands() {
        for length in 0..60 {
            // A long word could be a token.
            let dull = "mmm.".repeat(length / 4 + 1);
            let dull = &dull[..length];
            assert_eq!(Traits::of(dull.as_bytes()), Traits::default());
            for place in 0..=length {
                let with = |what: &str| {
                    let text = format!("{}{what}{}", &dull[..place], &dull[place..]);
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
