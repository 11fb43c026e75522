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
    pub(super) fn of(text: &[u8]) -> Self {
        let (sign, at, scheme) = marks(text);
        Self { sign, at, scheme, digits: digits(text) }
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;
/// `b`, two letters, `re` or `ic`: the last of them is so far from the first.
const REACH: usize = 4;

fn marks(text: &[u8]) -> (bool, bool, bool) {
    let (mut sign, mut at, mut scheme) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
    let mut rest = text;
    while let (Some(block), Some(third), Some(fourth)) =
        (rest.first_chunk::<BLOCK>(), array(rest, REACH - 1), array(rest, REACH))
    {
        for place in 0..BLOCK {
            let (byte, third, fourth) = (block[place], third[place] | 0x20, fourth[place] | 0x20);
            sign[place] |= u8::from(byte == b'=') | u8::from(byte == b':') | u8::from(byte == b'>');
            at[place] |= u8::from(byte == b'@') | u8::from(byte == b'%');
            scheme[place] |= u8::from(byte | 0x20 == b'b')
                & ((u8::from(third == b'r') & u8::from(fourth == b'e'))
                    | (u8::from(third == b'i') & u8::from(fourth == b'c')));
        }
        rest = &rest[BLOCK..];
    }
    let any = |block: [u8; BLOCK]| block.iter().fold(0, |all, byte| all | byte) != 0;
    let (mut sign, mut at, mut scheme) = (any(sign), any(at), any(scheme));
    for (place, byte) in rest.iter().enumerate() {
        match byte {
            b'=' | b':' | b'>' => sign = true,
            b'@' | b'%' => at = true,
            // Its length is that of the shortest one with its credentials.
            b'b' | b'B' => scheme |= rest.len() - place > REACH,
            _ => {}
        }
    }
    (sign, at, scheme)
}

fn array(text: &[u8], from: usize) -> Option<&[u8; BLOCK]> {
    text.get(from..)?.first_chunk()
}

/// Digits of the shortest number of a card.
pub(super) const SHORTEST: usize = 13;

/// Whether a run of digits and separators is as long as a card's number.
///
/// Such a run covers one of every thirteen bytes: the others are looked at only around those that it may cover.
fn digits(text: &[u8]) -> bool {
    let mut place = SHORTEST - 1;
    while let Some(byte) = text.get(place) {
        if !in_number(*byte) {
            place += SHORTEST;
            continue;
        }
        let (from, to) = run(text, place);
        if to - from >= SHORTEST
            && text[from..to].iter().filter(|byte| byte.is_ascii_digit()).count() >= SHORTEST
        {
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
                    ["Bearer abcdefgh", "bASIC"].iter().all(|what| with(what).scheme),
                    "{place} of {length}"
                );
                assert!(["4222222222222", "4242 4242-4242 4242"].iter().all(|what| with(what).digits));
                assert_eq!(with("422222222222"), Traits::default(), "{place} of {length}");
            }
        }
    }
}
