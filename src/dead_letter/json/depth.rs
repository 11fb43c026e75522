//! Limits on the depth of a value.

use std::fmt;

use serde::ser;

/// The maximum nesting of arrays and objects. `serde_json` reads 127, and a letter puts its request two levels deep.
pub(super) const LEVELS: u16 = 120;

/// The maximum nesting of values, including those that JSON does not show, such as `Some` and newtypes. It bounds the
/// stack.
const STEPS: u16 = 500;

/// How much deeper a value may go.
#[derive(Clone, Copy)]
pub(super) struct DepthLeft {
    levels: u16,
    steps: u16,
}

impl DepthLeft {
    pub(super) const ALL: Self = Self { levels: LEVELS, steps: STEPS };

    /// Inside of an array or an object.
    pub(super) fn level(self) -> Result<Self, EncodeError> {
        let levels = self.levels.checked_sub(1).ok_or(EncodeError::TooDeep)?;
        Ok(Self { levels, ..self.step()? })
    }

    /// Inside of a value that JSON does not show.
    pub(super) fn step(self) -> Result<Self, EncodeError> {
        let steps = self.steps.checked_sub(1).ok_or(EncodeError::TooDeep)?;
        Ok(Self { steps, ..self })
    }
}

/// Why a value could not be serialized.
#[derive(Debug)]
pub(super) enum EncodeError {
    TooDeep,
    /// Its `Serialize` failed.
    Custom(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "more than {LEVELS} levels"),
            Self::Custom(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(error: T) -> Self {
        Self::Custom(error.to_string())
    }
}
