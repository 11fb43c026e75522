//! A keyed hash: the same for the same value, and of no use without the key.

use std::fmt;

use hmac_sha256::HMAC;
use serde::Deserialize;

use crate::base::error::ConfigError;

/// What stands before a hash.
pub(super) const PREFIX: &str = "hash:";
/// Hexadecimal digits of a hash: 64 bits, so that among a million values two collide once in 37 million cases.
const DIGITS: usize = 16;
/// Bytes of what stands for a value.
pub(super) const LENGTH: usize = PREFIX.len() + DIGITS;
/// The shortest key, in bytes.
const SHORTEST: usize = 16;

/// The key of hashes that stand for secrets.
///
/// With it, values can be tried out: keep it as a secret itself. It is shown by no `Debug` and written by no
/// serializer.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct HashKey(String);

impl HashKey {
    /// A key: any text of at least 16 bytes that cannot be guessed.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// HMAC-SHA256 with the key taken in.
#[derive(Clone)]
pub(super) struct Keyed(HMAC);

impl Keyed {
    pub(super) fn new(key: &HashKey) -> Result<Self, ConfigError> {
        if key.0.len() < SHORTEST {
            let value = format_args!("a text of {} bytes", key.0.len());
            return Err(ConfigError::new("key", value, "at least 16 bytes that cannot be guessed"));
        }
        Ok(Self(HMAC::new(key.0.as_bytes())))
    }

    /// What stands for `value`.
    pub(super) fn hash(&self, value: &[u8]) -> String {
        let mut keyed = self.0.clone();
        keyed.update(value);
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        for byte in keyed.finalize().iter().take(DIGITS / 2) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text
    }
}

/// Whether `text` is what [`Keyed::hash`] makes, which is not hashed again.
pub(super) fn is_hash(text: &[u8]) -> bool {
    text.strip_prefix(PREFIX.as_bytes()).is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_hmac_sha256() {
        // RFC 4231, test case 1, has a key of 20 bytes 0x0b, which is text.
        let key = HashKey::new("\u{b}".repeat(20));
        assert_eq!(Keyed::new(&key).unwrap().hash(b"Hi There"), "hash:b0344c61d8db3853");
        assert!(is_hash(b"hash:b0344c61d8db3853"));
        assert!(!is_hash(b"hash:b0344c61d8db385") && !is_hash(b"b0344c61d8db3853"));
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        let key = HashKey::new("0123456789abcdef");
        assert_eq!(format!("{key:?} {:?}", Keyed::new(&key)), "HashKey(…) Ok(Keyed(…))");
        let error = Keyed::new(&HashKey::new("abc")).unwrap_err();
        assert!(!error.to_string().contains("abc"), "{error}");
    }
}
