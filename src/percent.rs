//! Percent encoding, as URLs, baggage and resource attributes have it.

/// The bytes that `text` stands for: `%41` is one, and what is no such thing stays as it is.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high << 4 | low));
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn only_two_digits_stand_for_a_byte() {
        let of = |text| String::from_utf8(decoded(text)).unwrap();
        for (text, meant) in
            [("a%20b", "a b"), ("%c3%A4", "\u{e4}"), ("100%", "100%"), ("%4", "%4"), ("%4\u{e4}", "%4\u{e4}")]
        {
            assert_eq!(of(text), meant);
        }
        assert_eq!(of("%+1%G1%%41"), "%+1%G1%A");
    }
}
