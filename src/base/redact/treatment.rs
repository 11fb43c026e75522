//! How a secret is treated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a secret is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Treatment {
    /// The value is kept.
    Leave,
    /// The value is replaced by `[redacted]`.
    Mask,
    /// The value is replaced by a keyed hash, such as `hash:3f0a9c1be2d47586`. Equal values have equal hashes.
    Hash,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leave => "leave",
            Self::Mask => "mask",
            Self::Hash => "hash",
        })
    }
}
