//! What is done with the values that go by a name, and with which of them.

use super::settings::Treatment;
use super::steps::{ahead, behind};

/// What values a name of a secret has: `pin` also names a contact of a chip, and `tokens` a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any.
    Any,
    /// All but whole numbers of at most this many digits.
    NoCount(u8),
    /// As many digits, with single separators among them or none.
    Digits(u8, u8),
}

/// What is done with the values that go by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) treatment: Treatment,
    pub(super) form: Form,
    /// Whether it is `pass`, `pin` and the like, which are ordinary words too.
    pub(super) ordinary: bool,
}

impl Rule {
    pub(super) const LEAVE: Self = Self { treatment: Treatment::Leave, form: Form::Any, ordinary: false };

    /// The value that begins at `from` if it can only be a few digits: where those end.
    pub(super) fn digits(self, bytes: &[u8], from: usize) -> Option<usize> {
        match self.form {
            Form::Digits(_, most) => {
                let most = 2 * usize::from(most);
                let end = ahead(bytes, from, most, |byte| {
                    byte.is_ascii_digit() || matches!(byte, b'-' | b' ' | b'.')
                });
                Some(behind(bytes, end, end - from, |byte| !byte.is_ascii_digit()))
            }
            _ => None,
        }
    }

    /// Whether what begins at `from` is a short number that the rule leaves.
    pub(super) fn is_count(self, bytes: &[u8], from: usize) -> bool {
        let end = ahead(bytes, from, 16, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'_'));
        let goes_on = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
        matches!(self.form, Form::NoCount(_)) && end > from && !goes_on && !self.hides(&bytes[from..end])
    }

    /// Whether the rule hides `value`.
    pub(crate) fn hides(self, value: &[u8]) -> bool {
        let digits = || value.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_number = |apart: &[u8]| value.iter().all(|byte| byte.is_ascii_digit() || apart.contains(byte));
        self.treatment != Treatment::Leave
            && match self.form {
                Form::Any => true,
                Form::NoCount(most) => digits() > usize::from(most) || !is_number(b".,_ "),
                Form::Digits(least, most) => {
                    value.len() <= 2 * usize::from(most)
                        && is_number(b"- .")
                        && (usize::from(least)..=usize::from(most)).contains(&digits())
                }
            }
    }
}
