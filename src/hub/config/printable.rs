//! Texts of others that a terminal shows as they are.

use std::fmt::{self, Display, Write as _};

/// Writes a text without characters that a terminal obeys or hides: control characters, and marks of Unicode that change the
/// direction or the width. They are written as TOML escapes them.
pub(super) struct Printable<'a>(pub(super) &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                hidden if is_hidden(hidden) => write!(f, "\\u{:04X}", u32::from(hidden))?,
                shown => f.write_char(shown)?,
            }
        }
        Ok(())
    }
}

/// Whether a terminal obeys or hides a character.
pub(super) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text as TOML writes it, on one line.
pub(super) fn quoted_text(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", Printable(&escaped))
}
