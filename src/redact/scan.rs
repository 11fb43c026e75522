//! One quick look at a text: most have nothing in them that a secret could be found by.
//!
//! Every attribute of every span passes here. The loops are written so that the compiler can take sixteen
//! bytes at a time.

/// What a text has in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// `=`, `:` or `>`, which stand between a name and its value.
    pub(super) sign: bool,
    /// `@`, or `%` as in `%40`, which stand in an address.
    pub(super) at: bool,
    /// What may be the word `bearer` or `basic`.
    pub(super) scheme: bool,
    /// So many digits, blanks and dashes together that it may be the number of a card.
    pub(super) digits: bool,
}

impl Traits {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let bits = bits(text);
        Self {
            sign: bits & SIGN != 0,
            at: bits & AT != 0,
            scheme: bits & SCHEME != 0,
            digits: text.len() >= SHORTEST && digits(text),
        }
    }

    /// Whether there is anything to look for.
    #[inline]
    pub(super) fn any(self) -> bool {
        self.sign || self.at || self.scheme || self.digits
    }
}

const SIGN: u8 = 1;
const AT: u8 = 2;
const SCHEME: u8 = 4;

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
    let array = |from: usize| text.get(from..).and_then(<[u8]>::first_chunk::<BLOCK>);
    if let (Some(first), Some(third), Some(fourth)) = (array(0), array(REACH - 1), array(REACH)) {
        for place in 0..BLOCK {
            let (byte, third, fourth) = (first[place], third[place] | 0x20, fourth[place] | 0x20);
            let mask = |yes: bool, bit: u8| if yes { bit } else { 0 };
            bits[place] |= mask(byte == b'=', SIGN)
                | mask(byte == b':', SIGN)
                | mask(byte == b'>', SIGN)
                | mask(byte == b'@', AT)
                | mask(byte == b'%', AT)
                | (mask(byte | 0x20 == b'b', SCHEME)
                    & ((mask(third == b'r', SCHEME) & mask(fourth == b'e', SCHEME))
                        | (mask(third == b'i', SCHEME) & mask(fourth == b'c', SCHEME))));
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
        table
    };
    let bits = text.iter().fold(0, |bits, byte| bits | TABLE[usize::from(*byte)]);
    if bits & SCHEME != 0 && !scheme(text) { bits & !SCHEME } else { bits }
}

fn scheme(text: &[u8]) -> bool {
    text.windows("basic 12345678".len()).any(|window| {
        window[0] | 0x20 == b'b'
            && matches!([window[3] | 0x20, window[4] | 0x20], [b'r', b'e'] | [b'i', b'c'])
    })
}

/// Digits of the shortest number of a card.
pub(super) const SHORTEST: usize = 13;

/// Whether a run of digits and separators is as long as a card's number.
///
/// Such a run covers one of every thirteen bytes: the others are looked at only around those that it may cover.
#[inline]
fn digits(text: &[u8]) -> bool {
    let mut place = SHORTEST - 1;
    while let Some(byte) = text.get(place) {
        if !in_number(*byte) {
            place += SHORTEST;
            continue;
        }
        let (from, to) = run(text, place);
        let run = &text[from..to];
        if run.len() >= SHORTEST && run.iter().filter(|byte| byte.is_ascii_digit()).count() >= SHORTEST {
            return true;
        }
        // What stands at `to` is in no number.
        place = to + SHORTEST;
    }
    false
}

/// Whether a byte may stand in the number of a card.
pub(super) fn in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'-')
}

/// The run of such bytes around `place`.
pub(super) fn run(text: &[u8], place: usize) -> (usize, usize) {
    let before = text[..place].iter().rev().take_while(|byte| in_number(**byte)).count();
    let after = text[place..].iter().take_while(|byte| in_number(**byte)).count();
    (place - before, place + after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_wherever_it_stands() {
        for length in 0..60 {
            let dull = "x".repeat(length);
            assert_eq!(Traits::of(dull.as_bytes()), Traits::default());
            for place in 0..=length {
                let with = |what: &str| {
                    let text = format!("{}{what}{}", &dull[..place], &dull[place..]);
                    Traits::of(text.as_bytes())
                };
                assert!(["=", ":", ">"].iter().all(|what| with(what).sign), "{place} of {length}");
                assert!(["@", "%40"].iter().all(|what| with(what).at), "{place} of {length}");
                assert!(
                    ["Bearer abcdefgh", "bASIC abcdefgh"].iter().all(|what| with(what).scheme),
                    "{place} of {length}"
                );
                assert!(["4222222222222", "4242 4242-4242 4242"].iter().all(|what| with(what).digits));
                assert_eq!(with("422222222222"), Traits::default(), "{place} of {length}");
            }
        }
    }
}
