//! A keyed hash. Equal values have equal hashes. Without the key, a hash reveals nothing about its value.

use std::fmt;

use hmac_sha256::HMAC;
use serde::Deserialize;

use crate::base::error::ConfigError;

/// The prefix of a hash.
pub(super) const PREFIX: &str = "hash:";
/// The hexadecimal digits of a hash. With 64 bits, a million values have a collision with a chance of 1 in 37 million.
const DIGITS: usize = 16;
/// The bytes of a hash with its prefix.
pub(super) const LENGTH: usize = PREFIX.len() + DIGITS;
/// The shortest key, in bytes.
const SHORTEST: usize = 16;

/// The key of hashes that replace secrets. [`RedactionSettings::key`](super::settings::RedactionSettings::key) sets it.
///
/// Keep it secret: with it, values can be guessed and compared. `Debug` and `Serialize` do not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct HashKey(String);

impl HashKey {
    pub(super) fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// HMAC-SHA256 with a key.
#[derive(Clone)]
pub(super) struct Keyed(HMAC);

impl Keyed {
    pub(super) fn new(key: &HashKey) -> Result<Self, ConfigError> {
        if key.0.len() < SHORTEST {
            let value = format_args!("a key of {} bytes", key.0.len());
            return Err(ConfigError::new("key", value, "at least 16 bytes that cannot be guessed"));
        }
        Ok(Self(HMAC::new(key.0.as_bytes())))
    }

    /// The hash of `value`.
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

/// Whether `text` is a hash made by [`Keyed::hash`]. Such a text is not hashed again.
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
    fn a_key_is_never_shown() {
        let key = HashKey::new("0123456789abcdef");
        assert_eq!(format!("{key:?} {:?}", Keyed::new(&key)), "HashKey(…) Ok(Keyed(…))");
        let error = Keyed::new(&HashKey::new("abc")).unwrap_err();
        assert!(!error.to_string().contains("abc"), "{error}");
    }
}
