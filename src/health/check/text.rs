//! The messages of checks: errors in one line, short and without secrets.

use std::error::Error;
use std::sync::Arc;

use crate::base::cut::{cut, shorten};
use crate::base::outcome::line;
use crate::health::texts::Texts;

/// Maximum length of a message in bytes: an error may quote a whole document, and probes send the message along.
const MAX_MESSAGE: usize = 512;

/// Bytes that are searched for secrets. They are more than the message, because a secret that is cut in two would not be
/// recognised.
const MAX_SEARCHED: usize = MAX_MESSAGE + MAX_MESSAGE / 4;

/// An error and its causes in one line.
pub(super) fn error_chain(error: &(dyn Error + 'static)) -> String {
    one_line(&line(error, MAX_SEARCHED))
}

/// `text` in one line, cut after the bytes that are searched for secrets.
pub(super) fn one_line(text: &str) -> String {
    let mut line = without_control(text);
    if line.len() > MAX_SEARCHED {
        shorten(&mut line, MAX_SEARCHED);
        line.push('…');
    }
    line
}

/// A message as probes and logs show it: one line without secrets, cut to its maximum length.
pub(super) fn sanitize(texts: &Texts, message: &str) -> Arc<str> {
    let searched = cut(message, MAX_SEARCHED);
    let clean = texts.clean(searched);
    let kept = cut(&clean, MAX_MESSAGE);
    let mut line = without_control(kept);
    if kept.len() < clean.len() || searched.len() < message.len() {
        line.push('…');
    }
    line.into()
}

fn without_control(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_in_one_line_and_once() {
        let inner = std::io::Error::other("the\ndisk is full");
        let outer = std::io::Error::other(inner);
        assert_eq!(error_chain(&outer), "the disk is full");
        let error = crate::CallError::Inner(std::io::Error::other("gone"));
        assert_eq!(error_chain(&error), "gone");
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let line = one_line(&"ä".repeat(MAX_SEARCHED));
        assert!(line.ends_with("ä…") && line.len() <= MAX_SEARCHED + '…'.len_utf8());
        assert_eq!(one_line("brief"), "brief");
    }
}
