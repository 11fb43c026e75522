//! The settings and their allowed values.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// The settings of a fallback: the bounds of the last good answers that one layer keeps. They can be read from a file; unknown
/// keys are refused.
///
/// # Example
/// ```
/// use campanile::Fallback;
/// use campanile::fallback::FallbackSettings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: FallbackSettings = serde_json::from_str(r#"{ "max_answers": 500, "max_age": "10m" }"#)?;
/// let prices = Fallback::from_settings("prices", &settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackSettings {
    /// Maximum number of kept answers: from 1 to 1,000,000. The oldest is dropped for a new one. Default 1,000.
    pub max_answers: usize,
    /// Maximum size of all kept answers, in bytes: from 1 KiB to 16 GiB. Default 16 MiB.
    pub max_bytes: usize,
    /// Maximum age of a kept answer: more than zero. Default one hour.
    #[serde(with = "crate::base::duration")]
    pub max_age: Duration,
    /// Maximum size of the body of a kept HTTP response, in bytes: at most 1 GiB. Default 256 KiB.
    pub max_body: usize,
    /// Keeps HTTP responses to requests with `Authorization` or `Cookie`, and responses with `Set-Cookie` or with `no-store`,
    /// `no-cache`, `private`, `must-revalidate`, `proxy-revalidate` or `s-maxage` in `Cache-Control`. Only for keys that name the
    /// caller: other keys would give one caller the answer to another. Default: no.
    pub keep_private: bool,
}

impl Default for FallbackSettings {
    fn default() -> Self {
        Self {
            max_answers: 1_000,
            max_bytes: 16 * 1024 * 1024,
            max_age: Duration::from_secs(3_600),
            max_body: 256 * 1024,
            keep_private: false,
        }
    }
}

impl FallbackSettings {
    /// Validates the settings of the fallback called `name`, which the error names.
    pub(super) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        self.check().map_err(|error| error.of("fallback", name))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let Self { max_answers, max_bytes, max_age, max_body, keep_private: _ } = self;
        ConfigError::check(
            (1..=1_000_000).contains(max_answers),
            "max_answers",
            max_answers,
            "from 1 to 1,000,000",
        )?;
        let bytes = u64::try_from(*max_bytes).unwrap_or(u64::MAX);
        ConfigError::check(
            (1 << 10..=1 << 34).contains(&bytes),
            "max_bytes",
            max_bytes,
            "from 1 KiB to 16 GiB",
        )?;
        ConfigError::check(!max_age.is_zero(), "max_age", max_age, "more than zero")?;
        ConfigError::check(*max_body <= 1 << 30, "max_body", max_body, "at most 1 GiB")
    }
}
