//! The timeouts of the checks that wait for another service.

use std::time::Duration;

use crate::base::error::ConfigError;

/// Shorter than the default of [`Every::timeout`](super::Every::timeout), so that the message of the check names the step
/// that took too long.
pub(super) const DEFAULT: Duration = Duration::from_secs(4);

const MAX: Duration = Duration::from_secs(3_600);

pub(super) fn validate(timeout: Duration) -> Result<(), ConfigError> {
    let in_range = !timeout.is_zero() && timeout <= MAX;
    ConfigError::check(in_range, "timeout", timeout, "more than zero and at most an hour")
}
