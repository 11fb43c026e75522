//! The machine and this process, read in the background.
//!
//! Whoever collects metrics must not wait for `/proc` or a driver: a callback that hangs stalls the export of
//! everything else. So a thread of its own reads each source at its interval and leaves the values behind;
//! collecting only picks them up. What is older than three intervals is not reported: no value is better than
//! one that pretends to be fresh.
//!
//! A source that fails, panics or hangs does not stop the others. One thread keeps the time and a second one
//! does the reading; when a source does not answer by its deadline, that second thread is left behind with it
//! and another takes over. The failure is logged once, the source is tried again after a growing delay, and
//! comes back by itself.
//!
//! No value carries a command line, an environment value or the name of another process.
//!
//! # Example
//! ```
//! use campanile::sampler::{Sampler, SamplerSettings};
//!
//! let sampling = Sampler::start(SamplerSettings::default())?;
//! // ... the life of the process ...
//! drop(sampling); // stops at once
//! # Ok::<(), campanile::ConfigError>(())
//! ```

mod latest;
mod probe;
mod process;
mod schedule;
mod settings;
mod snapshot;
mod system;

use std::sync::Arc;

use crate::error::ConfigError;
use crate::signal;

use self::latest::Latest;
use self::schedule::Running;
pub use self::settings::SamplerSettings;
pub use self::snapshot::{MemorySnapshot, ProcessSnapshot, SystemSnapshot};

/// Starts the background reading: see the [module](self).
#[derive(Debug)]
#[non_exhaustive]
pub struct Sampler;

impl Sampler {
    /// Starts to read every source this build has.
    ///
    /// The first values are there at once, shares of processor time half a second later.
    ///
    /// # Errors
    /// When a setting is out of range, or when the operating system refuses a thread.
    pub fn start(settings: SamplerSettings) -> Result<SamplerGuard, ConfigError> {
        settings.validate()?;
        let plans = vec![system::plan(settings.every), process::plan(settings.every)];
        let latest = Arc::new(Latest::new(plans.iter().map(|plan| (plan.name, plan.every))));
        signal::register(&latest);
        let running = Running::start(plans, Arc::clone(&latest)).map_err(|error| {
            ConfigError::new("sampler", "started", format!("the operating system refused a thread: {error}"))
        })?;
        Ok(SamplerGuard { _running: running, _latest: latest })
    }
}

/// Keeps the background reading going; dropping it stops the thread and takes its values away.
///
/// The drop waits for the thread that keeps the time, which never reads a source itself and so ends at once. A
/// source that hangs at that moment keeps its own thread until it answers.
#[derive(Debug)]
#[must_use = "dropping the guard stops the sampler"]
pub struct SamplerGuard {
    // Stops first: nothing writes to values that are gone.
    _running: Running,
    _latest: Arc<Latest>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Kind;
    use std::time::Duration;

    #[test]
    fn p42_no_attribute_holds_more_than_a_fixed_word() {
        let every = Duration::from_secs(10);
        let fixed = ["1m", "5m", "15m", "used", "free", "buffers", "cached"];
        for plan in [system::plan(every), process::plan(every)] {
            for reading in (plan.make)().sample().unwrap() {
                assert_ne!(reading.metric.kind, Kind::Histogram, "{}", reading.metric.name);
                assert!(reading.value.is_finite() && reading.value >= 0.0, "{reading:?}");
                let keys: Vec<&str> = reading.attribute.iter().map(|(key, _)| *key).collect();
                assert_eq!(keys, reading.metric.attributes);
                if let Some((_, value)) = reading.attribute {
                    assert!(fixed.contains(&value.as_ref()), "{value}");
                }
            }
        }
    }
}
