//! Truncates texts.

/// The start of `text`, at most `most` bytes, up to a character boundary.
///
/// `str::floor_char_boundary` does the same but needs Rust 1.91.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Truncates `text` to at most `most` bytes, at a character boundary.
pub(crate) fn shorten(text: &mut String, most: usize) {
    text.truncate(cut(text, most).len());
}

/// Where the first character at or after `at` begins: `str::ceil_char_boundary`, which also needs Rust 1.91.
pub(crate) fn boundary_from(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{boundary_from, cut};

    #[test]
    fn a_text_is_cut_at_a_character_boundary() {
        assert_eq!(["aé", "aé", "a", "a", ""], [9, 3, 2, 1, 0].map(|most| cut("aé", most)));
        assert_eq!(cut("", 7), "");
        assert_eq!([0, 1, 3, 3, 3], [0, 1, 2, 3, 9].map(|at| boundary_from("aé", at)));
    }
}
