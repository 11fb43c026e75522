//! As much of the library's own as the settings of prediction need.

use std::fmt;

/// Says what was wrong.
#[derive(Debug)]
pub(crate) struct ConfigError;

impl ConfigError {
    pub(crate) fn check(
        fine: bool,
        _: &'static str,
        _: impl fmt::Debug,
        _: impl fmt::Display,
    ) -> Result<(), Self> {
        fine.then_some(()).ok_or(Self)
    }
}
