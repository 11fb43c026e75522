//! The rule of a name: which of its values are secrets, and how they are treated.

use super::steps::{ahead, behind, count};
use super::treatment::Treatment;

/// The form of the values that are secrets. `pin` may also be a contact of a chip, and `tokens` a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any value.
    Any,
    /// Any value except whole numbers of at most this number of digits.
    NoCount(u8),
    /// A number of digits in this range, with or without single separators between them.
    Digits(u8, u8),
    /// At least this number of bytes that look random.
    Random(u8),
}

/// How the values of a name are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) treatment: Treatment,
    pub(super) form: Form,
    /// Whether the name is also an ordinary word, such as `pass` or `pin`.
    pub(super) ordinary: bool,
}

impl Rule {
    pub(super) const LEAVE: Self = Self { treatment: Treatment::Leave, form: Form::Any, ordinary: false };

    /// Masks every value.
    pub(super) const MASK: Self = Self { treatment: Treatment::Mask, form: Form::Any, ordinary: false };

    /// The end of the value that begins at `from`, if its form alone determines it.
    pub(super) fn end(self, bytes: &[u8], from: usize) -> Option<usize> {
        match self.form {
            Form::Digits(_, most) => {
                let most = 2 * usize::from(most);
                let end = ahead(bytes, from, most, |byte| {
                    byte.is_ascii_digit() || matches!(byte, b'-' | b' ' | b'.')
                });
                let end = behind(bytes, end, end - from, |byte| !byte.is_ascii_digit());
                let continues = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
                Some(if continues { from } else { end })
            }
            Form::Random(_) => {
                let end = ahead(bytes, from, LOOK, in_random);
                // If the beginning is not random, the rest is not read.
                let random = end - from == LOOK && is_random(&bytes[from..end]);
                Some(if random { ahead(bytes, end, usize::MAX, in_random) } else { end })
            }
            _ => None,
        }
    }

    /// Whether the value at `from` is a short number that the rule leaves.
    pub(super) fn is_count(self, bytes: &[u8], from: usize) -> bool {
        let end = ahead(bytes, from, 16, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'_'));
        let continues = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
        matches!(self.form, Form::NoCount(_)) && end > from && !continues && !self.hides(&bytes[from..end])
    }

    /// Whether the rule hides lists and objects as a whole.
    pub(super) fn hides_all(self) -> bool {
        matches!(self.form, Form::Any | Form::NoCount(_))
    }

    /// Whether the rule hides `value`.
    pub(crate) fn hides(self, value: &[u8]) -> bool {
        let digits = || value.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_number = |apart: &[u8]| value.iter().all(|byte| byte.is_ascii_digit() || apart.contains(byte));
        self.treatment != Treatment::Leave
            && match self.form {
                Form::Any => true,
                Form::NoCount(most) => digits() > usize::from(most) || !is_number(b".,_ "),
                Form::Random(least) => value.len() >= usize::from(least) && is_random(value),
                Form::Digits(least, most) => {
                    value.len() <= 2 * usize::from(most)
                        && is_number(b"- .")
                        && (usize::from(least)..=usize::from(most)).contains(&digits())
                }
            }
    }
}

/// How many bytes of a value are examined for randomness.
const LOOK: usize = 48;

fn in_random(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'.' | b'~' | b'%' | b':')
}

/// Whether this looks random, by the order of letters and digits. A UUID does not count: it is an identifier.
fn is_random(value: &[u8]) -> bool {
    let uuid = value.len() == 36 && [8, 13, 18, 23].iter().all(|place| value[*place] == b'-');
    let value = &value[..value.len().min(LOOK)];
    count(value.len());
    let (mut digits, mut letters, mut turns, mut before) = (0, 0, 0, 0);
    for byte in value {
        let kind = match byte {
            b'0'..=b'9' => 1,
            b'a'..=b'z' => 2,
            b'A'..=b'Z' => 3,
            byte if in_random(*byte) => continue,
            _ => return false,
        };
        digits += usize::from(kind == 1);
        letters += usize::from(kind > 1);
        turns += usize::from(before != kind && before != 0);
        before = kind;
    }
    digits > 0 && letters > 0 && 4 * turns >= digits + letters && !uuid
}

#[cfg(test)]
mod tests {
    use super::is_random;

    #[test]
    fn chance_is_told_from_words_and_ids() {
        for random in
            ["YW5uOmh1bnRlcjI=", "9f86d081884c7d65", "a8Fk29xQ01Zb", "s%3AhM4tQ9ab2", "4/0AX4XfWh1b2C3d4"]
        {
            assert!(is_random(random.as_bytes()), "{random}");
        }
        for other in [
            "started",
            "oauth2",
            "order-2026-11-21-17",
            "20261121",
            "550e8400-e29b-41d4-a716-446655440000",
            "a b1",
            "",
        ] {
            assert!(!is_random(other.as_bytes()), "{other}");
        }
    }
}
