//! Classes of bytes.

/// Whether a byte may be part of a name. All non-ASCII bytes may.
#[inline]
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%' | 0x80..)
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a byte may be part of a number with separators: a digit, or a byte of a separator.
#[inline]
pub(super) fn in_number(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & 1 != 0
}

/// Whether a byte may be part of a token.
#[inline]
pub(super) fn in_run(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & 2 != 0
}

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let bytes = b"0123456789 -./_+*|:;,~\t%\xC2\xA0\xE2\xAF\x88";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = 1;
        at += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        if matches!(byte, 0x80..=0x95) {
            table[byte] = 1;
        }
        if (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'_' | b'-') {
            table[byte] |= 2;
        }
        byte += 1;
    }
    table
};
