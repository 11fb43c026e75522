//! `[letters]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dead_letter::DeadLetterSettings;

/// What all queues of dead letters have in common: `[letters]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LettersSection {
    /// Whether each dependency and worker whose section does not mention `letters` has a queue. Default: `false`.
    pub everywhere: bool,
    /// Directory of SQLite files, one for each queue that names no store: `DIRECTORY/NAME.db`. Default: none, such queues
    /// are in memory.
    pub directory: Option<PathBuf>,
    /// Settings of each queue, unless its own section says otherwise.
    pub queue: DeadLetterSettings,
}
