//! Ids and numbers as text.

/// Whether digits above nine may be capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Either,
}

/// The number that all of `text` writes in hexadecimal, at most 32 digits.
pub(super) fn number(text: &str, case: Case) -> Option<u128> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' if case == Case::Either => byte - b'A' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// A text of a known length at most, that needs no memory of its own.
#[derive(Debug)]
pub(super) struct Line {
    bytes: [u8; Self::LENGTH],
    length: usize,
}

impl Line {
    /// The longest is a `traceparent` or a `b3`.
    const LENGTH: usize = 64;

    pub(super) fn new() -> Self {
        Self { bytes: [0; Self::LENGTH], length: 0 }
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        for byte in text.bytes().take(Self::LENGTH - self.length) {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        self
    }

    /// `bytes` in hexadecimal.
    pub(super) fn hex(mut self, bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(Self::LENGTH - self.length) {
            self.bytes[self.length] = DIGITS[usize::from(digit)];
            self.length += 1;
        }
        self
    }

    pub(super) fn as_str(&self) -> &str {
        // Whole texts and digits are all that is ever in it.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hexadecimal_and_nothing_else() {
        assert_eq!(number("ff", Case::Lower), Some(255));
        assert_eq!(number(&"f".repeat(32), Case::Lower), Some(u128::MAX));
        for bad in ["", "FF", "+1", "0x1", "g", "ä", " 1", &"0".repeat(33)] {
            assert_eq!(number(bad, Case::Lower), None, "{bad:?}");
        }
        assert_eq!(number("fF", Case::Either), Some(255));
    }

    #[test]
    fn a_line_that_is_full_takes_no_more() {
        let line = Line::new().text("a-").hex(&[0x01, 0xfe]).text("-");
        assert_eq!(line.as_str(), "a-01fe-");
        assert_eq!(Line::new().text(&"x".repeat(99)).hex(&[1; 9]).as_str().len(), Line::LENGTH);
    }
}
