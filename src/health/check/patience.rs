//! How long checks wait.

use std::time::Duration;

use crate::base::error::ConfigError;

/// What checks of others wait for unless told otherwise: less than [`Every`](super::Every) gives a run, so that what
/// is told names what took so long.
pub(super) const DEFAULT: Duration = Duration::from_secs(4);

/// Nobody waits so long for a check.
const LONGEST: Duration = Duration::from_secs(3_600);

pub(super) fn validate(timeout: Duration) -> Result<(), ConfigError> {
    let fine = !timeout.is_zero() && timeout <= LONGEST;
    ConfigError::check(fine, "timeout", timeout, "more than zero and at most an hour")
}
