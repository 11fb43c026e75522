//! The treatment of a secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The treatment of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Treatment {
    /// It is kept.
    Leave,
    /// It is replaced by `[redacted]`.
    Mask,
    /// It is replaced by a keyed hash, such as `hash:3f0a9c1be2d47586`. Equal values have equal hashes.
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
