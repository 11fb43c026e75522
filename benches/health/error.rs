//! The part of the library's errors that the settings of prediction use.

use std::fmt;

/// Stands for the library's error.
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
