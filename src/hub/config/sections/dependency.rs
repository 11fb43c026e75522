//! `[dependency.NAME]`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::EndpointSection;
use super::server::check_component;
use crate::base::error::ConfigError;
use crate::breaker::BreakerSettings;
use crate::dead_letter::DeadLetterSettings;
use crate::health::HealingSettings;
use crate::retry::RetrySettings;

/// A service that this program calls: `[dependency.NAME]`.
///
/// `breaker`, `retry`, `letters` and `check` are tables: `false` turns one off, and `true` turns it on with its defaults.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DependencySection {
    /// Component that the calls count for. Default: the name of the section.
    pub component: Option<String>,
    /// Whether the program is not ready while this dependency is unwell. Default: `false`.
    pub critical: bool,
    /// Names of the components that this dependency depends on. Default: none.
    pub depends_on: Vec<String>,
    /// The circuit breaker. Default: on.
    #[serde(with = "super::switch")]
    pub breaker: Option<BreakerSettings>,
    /// Retries. Default: on.
    #[serde(with = "super::switch")]
    pub retry: Option<RetrySettings>,
    /// The queue of calls that failed for good. What is not set here is as in `[letters.queue]`. Default: off, unless
    /// `letters.everywhere` is set.
    #[serde(with = "super::switch")]
    pub letters: Option<DeadLetterSettings>,
    /// A check that health runs at an interval. Default: off.
    #[serde(with = "super::switch")]
    pub check: Option<EndpointSection>,
    /// Command that restarts the dependency when it is unwell: the program and its arguments, without a shell. Default:
    /// none.
    pub restart_command: Vec<String>,
    /// When and how often `restart_command` runs.
    pub healing: HealingSettings,
}

impl Default for DependencySection {
    fn default() -> Self {
        Self {
            component: None,
            critical: false,
            depends_on: Vec::new(),
            breaker: Some(BreakerSettings::default()),
            retry: Some(RetrySettings::default()),
            letters: None,
            check: None,
            restart_command: Vec::new(),
            healing: HealingSettings::default(),
        }
    }
}

impl DependencySection {
    /// Checks what is not checked by the settings of a part.
    pub(in crate::hub::config) fn check_own(&self) -> Result<(), ConfigError> {
        check_component(self.component.as_deref())?;
        for name in &self.depends_on {
            ConfigError::check(!name.trim().is_empty(), "depends_on", name, "names that are not blank")?;
        }
        let has_program = self.restart_command.first().is_none_or(|program| !program.trim().is_empty());
        ConfigError::check(
            has_program,
            "restart_command",
            &self.restart_command,
            "a list that begins with a program, such as [\"systemctl\", \"restart\", \"payments\"]",
        )
    }
}

impl fmt::Debug for DependencySection {
    /// Of the command it shows whether there is one, because its arguments may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencySection")
            .field("component", &self.component)
            .field("critical", &self.critical)
            .field("depends_on", &self.depends_on)
            .field("breaker", &self.breaker)
            .field("retry", &self.retry)
            .field("letters", &self.letters)
            .field("check", &self.check)
            .field("restart_command", &!self.restart_command.is_empty())
            .field("healing", &self.healing)
            .finish()
    }
}
