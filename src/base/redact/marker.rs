//! The replacement of a secret: a marker or a keyed hash.

use super::keyed::{LENGTH as HASH, is_hash};

/// The text that replaces a masked secret.
pub const MARKER: &str = "[redacted]";

/// Whether `text` is a marker or a hash, because it was replaced before.
pub(super) fn is_replaced(text: &[u8]) -> bool {
    text == MARKER.as_bytes() || is_hash(text)
}

/// The end of the marker or hash that begins at `at`, if there is one.
pub(super) fn replaced_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mark = [MARKER.len(), HASH].into_iter().find_map(|length| {
        let end = at.checked_add(length)?;
        is_replaced(bytes.get(at..end)?).then_some(end)
    })?;
    (!bytes.get(mark).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)).then_some(mark)
}
