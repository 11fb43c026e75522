//! The queues of dead letters of dependencies and workers.

use super::fault::{StartError, StartFault};
use super::inner::Inner;
use crate::dead_letter::{DeadLetterQueue, DeadLetterSettings, StoreSettings};

impl Inner {
    /// Opens the queue of a part. If its store does not open, the queue is in memory, and the fault is noted.
    ///
    /// # Errors
    /// When the settings are not valid, or the store does not open and the start is strict.
    pub(super) async fn queue(
        &self,
        part: &str,
        name: &str,
        settings: &DeadLetterSettings,
    ) -> Result<DeadLetterQueue, StartError> {
        let error = match DeadLetterQueue::from_settings(name, settings).await {
            Ok(queue) => return Ok(queue),
            Err(error) => error,
        };
        let reason = format!("{error}; its letters are kept in memory, and are lost when the process ends");
        self.faults.add(StartFault::new(format!("the store of letters of {part} `{name}`"), reason))?;
        let in_memory = DeadLetterSettings { store: StoreSettings::Memory, spill: None, ..settings.clone() };
        DeadLetterQueue::from_settings(name, &in_memory).await.map_err(|error| {
            StartError::Part(StartFault::new(format!("the letters of {part} `{name}`"), error))
        })
    }
}
