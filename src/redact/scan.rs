//! One quick look at a text: most have nothing in them that a secret could be found by.
//!
//! Every attribute of every span passes here. The loops are written so that the compiler can take sixteen
//! bytes at a time.

use super::steps::{ahead, behind, count};

/// What a text has in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// `=`, `:` or `>`, which stand between a name and its value.
    pub(super) sign: bool,
    /// `@`, or `%` as in `%40`, which stand in an address.
    pub(super) at: bool,
    /// What may be the word `bearer` or `basic`.
    pub(super) scheme: bool,
    /// What may be the beginning of a token of a known kind, or of a key in PEM.
    pub(super) token: bool,
    /// A bracket and a quote, as before a pair of texts.
    pub(super) pair: bool,
    /// Two dashes, as before an argument.
    pub(super) argument: bool,
    /// As many digits and separators together as the number of a card or of an account has.
    pub(super) digits: bool,
}

impl Traits {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        count(text.len());
        let bits = bits(text);
        Self {
            sign: bits & SIGN != 0,
            at: bits & AT != 0,
            scheme: bits & SCHEME != 0,
            token: bits & TOKEN != 0,
            pair: bits & PAIR != 0,
            argument: bits & ARGUMENT != 0,
            digits: text.len() >= FEWEST && digits(text),
        }
    }

    /// Whether there is anything to look for.
    #[inline]
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

const SIGN: u8 = 1;
const AT: u8 = 2;
const SCHEME: u8 = 4;
const TOKEN: u8 = 8;
const PAIR: u8 = 16;
const ARGUMENT: u8 = 32;

/// Bytes that are looked at together.
const BLOCK: usize = 16;
/// `b`, two letters, `re` or `ic`: the last of them is so far from the first.
const REACH: usize = 4;

#[inline]
fn bits(text: &[u8]) -> u8 {
    // All tokens are longer.
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
    let array = |from: usize| text.get(from..).and_then(<[u8]>::first_chunk::<BLOCK>);
    if let (Some(first), Some(second), Some(fourth), Some(fifth)) =
        (array(0), array(1), array(REACH - 1), array(REACH))
    {
        for place in 0..BLOCK {
            let (byte, next) = (first[place], second[place]);
            let (fourth, fifth) = (fourth[place] | 0x20, fifth[place] | 0x20);
            let mask = |yes: bool, bit: u8| if yes { bit } else { 0 };
            let is = |yes: bool| if yes { u8::MAX } else { 0 };
            let b = is(byte | 0x20 == b'b');
            // `:` and `>` differ in one bit.
            let sign = is(byte == b'=') | is(byte & !4 == b':');
            let at = is(byte == b'@') | is(byte == b'%');
            let scheme =
                b & ((is(fourth == b'r') & is(fifth == b'e')) | (is(fourth == b'i') & is(fifth == b'c')));
            // `github_pat_` and `sk_live_`, `sk_test_`; `eyJ`, `AKIA`, `ghp_`, `xoxb-`, `-----BEGIN`.
            let words = is(next == b'_')
                & ((b & is(fourth == b'a')) | (is(byte == b'k') & (is(fifth == b'v') | is(fifth == b's'))));
            let dash = is(byte == b'-');
            let token = words
                | (is(byte == b'y') & is(next == b'J'))
                | (is(byte == b'I') & is(next == b'A'))
                | (is(byte == b'g') & is(fourth == b'_' | 0x20))
                | (is(byte == b'x') & is(fifth == b'-'))
                | (dash & is(next == b'B'));
            let pair = (is(byte == b'(') | is(byte == b'['))
                & (is(next == b'"') | is(next == b'\'') | is(next == b'\\'));
            bits[place] |= (sign & SIGN)
                | (at & AT)
                | (scheme & SCHEME)
                | (token & TOKEN)
                | (pair & PAIR)
                | (dash & mask(next == b'-', ARGUMENT));
        }
    }
}

#[inline]
fn short(text: &[u8]) -> u8 {
    const TABLE: [u8; 256] = {
        let mut table = [0; 256];
        table[b'=' as usize] = SIGN;
        table[b':' as usize] = SIGN;
        table[b'>' as usize] = SIGN;
        table[b'@' as usize] = AT;
        table[b'%' as usize] = AT;
        table[b'b' as usize] = SCHEME;
        table[b'B' as usize] = SCHEME;
        table[b'(' as usize] = PAIR;
        table[b'[' as usize] = PAIR;
        table[b'-' as usize] = ARGUMENT;
        table
    };
    let mut bits = text.iter().fold(0, |bits, byte| bits | TABLE[usize::from(*byte)]);
    if bits & SCHEME != 0 && !scheme(text) {
        bits &= !SCHEME;
    }
    if bits & (PAIR | ARGUMENT) != 0 {
        let pair = text.windows(2).any(|two| matches!(two, [b'(' | b'[', b'"' | b'\'' | b'\\']));
        let argument = text.windows(2).any(|two| two == b"--");
        bits &= !(if pair { 0 } else { PAIR } | if argument { 0 } else { ARGUMENT });
    }
    bits
}

fn scheme(text: &[u8]) -> bool {
    text.windows("basic 12345678".len()).any(|window| {
        window[0] | 0x20 == b'b'
            && matches!([window[3] | 0x20, window[4] | 0x20], [b'r', b'e'] | [b'i', b'c'])
    })
}

/// Digits of the shortest number of a card.
pub(super) const SHORTEST: usize = 13;
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

/// Whether a byte may stand in a number: digits, and bytes of what separates them.
#[inline]
fn in_number(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let bytes = b"0123456789 -./_+*|:;,~\t%\xC2\xA0\xE2\xAF\x88";
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = true;
            at += 1;
        }
        let mut byte = 0x80;
        while byte <= 0x95 {
            table[byte] = true;
            byte += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_wherever_it_stands() {
        for length in 0..60 {
            let dull = "m".repeat(length);
            assert_eq!(Traits::of(dull.as_bytes()), Traits::default());
            for place in 0..=length {
                let with = |what: &str| {
                    let text = format!("{}{what}{}", &dull[..place], &dull[place..]);
                    Traits::of(text.as_bytes())
                };
                let at = format!("{place} of {length}");
                assert!(["=", ":", ">"].iter().all(|what| with(what).sign), "{at}");
                assert!(["@", "%40"].iter().all(|what| with(what).at), "{at}");
                assert!(["Bearer abcdefgh", "bASIC abcdefgh"].iter().all(|what| with(what).scheme), "{at}");
                assert!(
                    ["4222222222222", "4242 4242-4242 4242", "0417164300"]
                        .iter()
                        .all(|what| with(what).digits)
                );
                assert!(with("(\"a\",").pair && with("['a', ").pair && with("--pwd x").argument, "{at}");
                for token in [
                    "AKIAIOSFODNN7EXAMPLE",
                    "eyJhbGciOiJIUzI1NiJ9.e30.abcdefgh",
                    "sk_live_0123456789abcdef",
                    "rk_test_0123456789abcdef",
                    "ghp_0123456789abcdefghij",
                    "github_pat_0123456789abcdefghij",
                    "xoxb-0123456789abcde",
                    "-----BEGIN PRIVATE KEY-----",
                ] {
                    assert!(with(token).token, "{token} at {at}");
                }
                assert_eq!(with("422222222"), Traits::default(), "{at}");
            }
        }
    }
}
