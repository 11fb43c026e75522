//! The `grpc-message` of a response that this crate makes.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// `text` as the value of `grpc-message`: the protocol percent-encodes everything that is not printable ASCII. Names that a
/// user chose may be in the text.
pub(crate) fn grpc_message(text: &str) -> Option<HeaderValue> {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
    HeaderValue::try_from(utf8_percent_encode(text, ENCODED).to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_header_that_decodes_to_it() {
        for text in ["", "circuit `zahlung%20ü\n` is open", "timed out after 1.5µs", "\0\u{7f}"] {
            let value = grpc_message(text).unwrap();
            let decoded =
                percent_encoding::percent_decode_str(value.to_str().unwrap()).decode_utf8().unwrap();
            assert_eq!(decoded, text);
        }
    }
}
