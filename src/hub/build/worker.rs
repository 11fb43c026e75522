//! The workers of a program.

use std::fmt;
use std::sync::Arc;

use super::names::{build_once, check_name};
use crate::dead_letter::DeadLetterQueue;
use crate::health::Component;
use crate::hub::campanile::Campanile;
use crate::hub::config::WorkerSection;
use crate::hub::fault::StartError;
use crate::hub::inner::Inner;
use crate::layers::retry::Retry;
use crate::worker::Worker;

/// Makes a [`Worker`] of a [`Campanile`].
#[must_use = "a builder does nothing until `build`"]
pub struct HubWorkerBuilder {
    campanile: Campanile,
    name: Arc<str>,
    settings: WorkerSection,
    /// Whether the configuration has a section of this name.
    in_config: bool,
    changed: bool,
    letters: Option<DeadLetterQueue>,
}

impl Campanile {
    /// Returns a builder for work that is no request, with the settings of `[worker.NAME]`.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let import = campanile.worker("import").build().await?;
    /// let done = import.run("row 1".to_owned(), |row| async move { Ok::<_, std::io::Error>(row.len()) }).await?;
    /// assert_eq!(done, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(&self, name: impl Into<Arc<str>>) -> HubWorkerBuilder {
        let name = name.into();
        let all = self.inner.config.settings();
        let section = all.worker.get(&*name).cloned();
        HubWorkerBuilder {
            campanile: self.clone(),
            in_config: section.is_some(),
            settings: section.unwrap_or_else(|| WorkerSection {
                letters: all.letters.of_new(&name),
                ..WorkerSection::default()
            }),
            name,
            changed: false,
            letters: None,
        }
    }
}

impl HubWorkerBuilder {
    /// Changes the settings, unless the configuration has a section `[worker.NAME]`: what an operator wrote wins.
    pub fn settings(mut self, change: impl FnOnce(&mut WorkerSection)) -> Self {
        self.changed = true;
        if !self.in_config {
            change(&mut self.settings);
        }
        self
    }

    /// Parks items that fail in this queue, whatever the settings say.
    pub fn letters(mut self, queue: &DeadLetterQueue) -> Self {
        self.changed = true;
        self.letters = Some(queue.clone());
        self
    }

    /// Builds the worker. The second call for a name returns the one that is there.
    ///
    /// # Errors
    /// As [`DependencyBuilder::build`](super::DependencyBuilder::build).
    pub async fn build(self) -> Result<Worker, StartError> {
        let Self { campanile, name, settings, changed, letters, .. } = self;
        check_name("worker", &name)?;
        let hub = &campanile.inner;
        let slot = hub.parts.lock().workers.slot(&name)?;
        build_once(&slot, &name, changed, hub.build_worker(Arc::clone(&name), &settings, letters)).await
    }
}

impl Inner {
    async fn build_worker(
        &self,
        name: Arc<str>,
        settings: &WorkerSection,
        letters: Option<DeadLetterQueue>,
    ) -> Result<Worker, StartError> {
        let mut builder =
            Worker::builder(Arc::clone(&name)).telemetry(&self.telemetry).settings(settings.limits.clone());
        if let Some(retry) = &settings.retry {
            builder = builder.retry(&Retry::from_settings(Arc::clone(&name), retry)?);
        }
        match (letters, &settings.letters) {
            (Some(queue), _) => builder = builder.letters(&queue),
            (None, Some(settings)) => {
                builder = builder.letters(&self.queue("worker", &name, settings).await?);
            }
            (None, None) => {}
        }
        let worker = builder.build()?;
        self.health.join(Component::new(name))?;
        Ok(worker)
    }
}

impl fmt::Debug for HubWorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubWorkerBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
