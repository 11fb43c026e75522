//! Ids of letters and owners, and fingerprints.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::error::ParseIdError;
use crate::base::unique::unique;

/// The id of a letter: globally unique and ordered by time (UUID version 7, RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(Uuid);

/// The id of one run of a redrive, which claims letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Uuid);

/// A hash that failures of the same cause share. It is the same in every process and version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

/// The methods of an id that is a UUID. `$rule` says what its text must be.
macro_rules! uuid_id {
    ($type:ident, $rule:literal) => {
        impl $type {
            /// A new id. It is larger than every id that this process made before.
            #[must_use]
            #[allow(clippy::new_without_default)] // No two are equal.
            pub fn new() -> Self {
                Self(unique())
            }

            /// The 16 bytes of the id. They sort as the ids do.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }

        impl FromStr for $type {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError::new(text, $rule))
            }
        }
    };
}

uuid_id!(LetterId, "a letter id is a UUID");
uuid_id!(Owner, "an owner is a UUID");

// ===== impl LetterId =====

impl LetterId {
    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// When the id was made, to the millisecond.
    #[must_use]
    pub fn made_at(self) -> SystemTime {
        let made = self.0.get_timestamp().map_or(Duration::ZERO, |stamp| {
            let (seconds, nanos) = stamp.to_unix();
            Duration::new(seconds, nanos)
        });
        SystemTime::UNIX_EPOCH.checked_add(made).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

// ===== impl Fingerprint =====

impl Fingerprint {
    /// The FNV-1a hash of `parts`.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let mut hash = OFFSET;
        for part in parts {
            // UTF-8 never contains 0xff: it separates ("ab", "c") from ("a", "bc").
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
            }
        }
        Self(hash)
    }

    /// Stands for all fingerprints of a minute beyond the first 256: see [`Frequency`](super::Frequency).
    pub const OTHER: Self = Self(0);

    /// The hash.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The fingerprint with this hash.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ParseIdError::new(text, "a fingerprint is a number of 16 hexadecimal digits"))
    }
}

macro_rules! serde_as_text {
    ($($type:ty)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(LetterId Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_survive_text_and_bytes() {
        let ids: Vec<LetterId> = (0..1_000).map(|_| LetterId::new()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let id = ids[0];
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(LetterId::from_bytes(id.to_bytes()), id);
        assert!(id.made_at() <= SystemTime::now());
        assert!(
            SystemTime::now().duration_since(id.made_at()).is_ok_and(|age| age < Duration::from_secs(60))
        );
        assert!("no id".parse::<LetterId>().is_err_and(|error| error.to_string().contains("`no id`")));
    }

    #[test]
    fn a_fingerprint_tells_parts_apart_and_never_changes() {
        assert_ne!(Fingerprint::of(["ab", "c"]), Fingerprint::of(["a", "bc"]));
        let print = Fingerprint::of(["payments", "error", "timed out"]);
        assert_eq!(print.to_string().parse(), Ok(print));
        // Fingerprints are stored: another value would break the groups of existing files.
        assert_eq!(Fingerprint::of(["a"]).to_string(), "089bc907b544c769");
    }
}
