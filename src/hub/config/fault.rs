//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;

use super::printable::Printable;
use super::tree::{KeyPath, Source};
use crate::base::cut::cut;

/// The longest path of a setting, in bytes: a key can be as long as the file.
const LONGEST_SETTING: usize = 512;

/// The longest message and origin, in bytes.
const LONGEST_MESSAGE: usize = 4 * 1_024;

/// A text that a terminal shows as it is, of bounded length.
fn shown(text: &str, most: usize) -> String {
    let start = cut(text, most);
    format!("{}{}", Printable(start), if start.len() < text.len() { "…" } else { "" })
}

/// One thing that is wrong with a configuration: where, which setting, why, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    setting: String,
    origin: String,
    message: String,
    /// The layer, and the line of a file.
    order: (u8, usize),
}

impl ConfigFault {
    pub(super) fn new(path: &KeyPath, source: &Source, message: impl Into<String>) -> Self {
        let line = if let Source::File { line, .. } = source { *line } else { 0 };
        let order = (source.rank(), line);
        Self {
            setting: shown(&path.to_string(), LONGEST_SETTING),
            origin: shown(&source.to_string(), LONGEST_MESSAGE),
            message: shown(&message.into(), LONGEST_MESSAGE),
            order,
        }
    }

    /// A fault of a source as a whole.
    pub(super) fn of_source(source: &Source, message: impl Into<String>) -> Self {
        Self::new(&KeyPath::default(), source, message)
    }

    /// A fault of a file as a whole, such as one that does not exist.
    pub(super) fn of_file(origin: impl fmt::Display, message: impl Into<String>) -> Self {
        let shown = |text: &str| shown(text, LONGEST_MESSAGE);
        Self {
            setting: String::new(),
            origin: shown(&origin.to_string()),
            message: shown(&message.into()),
            order: (0, 0),
        }
    }

    /// The path of the setting, such as `dependency.payments.breaker.failure_rate`. Empty if no setting is at fault, but a
    /// file, a variable or an argument as a whole.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Where the setting is from: a file and a line, a variable, an argument, a preset, or the defaults.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Why it is refused, and what is allowed.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.setting.is_empty() {
            write!(f, "`{}` ", self.setting)?;
        }
        f.write_str(&self.message)
    }
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    faults: Vec<ConfigFault>,
}

impl ConfigErrors {
    /// The maximum number of faults that are reported.
    pub(super) const MOST: usize = 100;

    /// The error of some faults, in the order of their origins; `Ok` without faults.
    pub(super) fn check(mut faults: Vec<ConfigFault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|fault| fault.order);
        faults.dedup();
        faults.truncate(Self::MOST);
        Err(Self { faults })
    }

    /// The faults: at least one, at most 100.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }
}

impl fmt::Display for ConfigErrors {
    /// Writes one line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
