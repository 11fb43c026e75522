//! `[letters]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dead_letter::DeadLetterSettings;
#[cfg(feature = "sqlite")]
use crate::dead_letter::StoreSettings;

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

impl LettersSection {
    /// The queue of a thing that has no section.
    pub(in crate::hub) fn of_new(&self, name: &str) -> Option<DeadLetterSettings> {
        let mut queue = self.everywhere.then(|| self.queue.clone())?;
        #[cfg(feature = "sqlite")]
        if let (StoreSettings::Memory, Some(directory)) = (&queue.store, &self.directory) {
            queue.store = StoreSettings::Sqlite { path: directory.join(format!("{name}.db")) };
        }
        Some(queue)
    }
}
