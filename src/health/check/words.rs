//! What checks say of others' errors.

use std::error::Error;

use super::telling::SEARCHED;
use crate::base::cut::shorten;
use crate::base::outcome::line;

/// What is told is searched for secrets first, and then cut: see `telling.rs`.
const LONGEST: usize = SEARCHED;

/// An error and its causes in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    short(&line(error, LONGEST))
}

/// As much of it as fits into a line.
pub(super) fn short(text: &str) -> String {
    let mut line: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.len() > LONGEST {
        shorten(&mut line, LONGEST);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_in_one_line_and_once() {
        let inner = std::io::Error::other("the\ndisk is full");
        let outer = std::io::Error::other(inner);
        assert_eq!(causes(&outer), "the disk is full");
        let error = crate::CallError::Inner(std::io::Error::other("gone"));
        assert_eq!(causes(&error), "gone");
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let line = short(&"ä".repeat(LONGEST));
        assert!(line.ends_with("ä…") && line.len() <= LONGEST + '…'.len_utf8());
        assert_eq!(short("brief"), "brief");
    }
}
