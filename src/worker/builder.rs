//! The builder.

use std::sync::Arc;

use super::control::Controls;
use super::errors::ErrorBook;
use super::event_counts::EventCounts;
use super::failure_log::FailureLog;
use super::handle::Worker;
use super::inner::Inner;
use super::item_counts::ItemCounts;
use super::operation::OPERATIONS;
use super::settings::WorkerSettings;
use super::table::Table;
use super::task_state::TASKS;
use super::texts::Texts;
use super::watch::WorkerVital;
use crate::base::error::ConfigError;
use crate::dead_letter::DeadLetterQueue;
#[cfg(feature = "breaker")]
use crate::layers::breaker::CircuitBreaker;
#[cfg(feature = "retry")]
use crate::layers::retry::Retry;
use crate::signal::{self, CachedVital};
use crate::telemetry::Telemetry;

/// The capacity of the queue of a worker that is given none.
const CAPACITY: u64 = 1_000;

impl Worker {
    /// Returns a builder of the worker `name`: 1 to 128 bytes.
    pub fn builder(name: impl Into<Arc<str>>) -> WorkerBuilder {
        WorkerBuilder {
            name: name.into(),
            settings: WorkerSettings::default(),
            telemetry: None,
            letters: None,
            #[cfg(feature = "retry")]
            retry: None,
            #[cfg(feature = "breaker")]
            breaker: None,
        }
    }

    /// Makes a worker from settings, such as those of a file. Use [`WorkerBuilder::settings`] to give it a queue too.
    ///
    /// # Errors
    /// When the name or a setting is out of its range. The error names it.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: &WorkerSettings) -> Result<Self, ConfigError> {
        Self::builder(name).settings(settings.clone()).build()
    }
}

/// Makes a [`Worker`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerBuilder {
    name: Arc<str>,
    settings: WorkerSettings,
    telemetry: Option<Telemetry>,
    letters: Option<DeadLetterQueue>,
    #[cfg(feature = "retry")]
    retry: Option<Retry>,
    #[cfg(feature = "breaker")]
    breaker: Option<CircuitBreaker>,
}

impl WorkerBuilder {
    setters! {
        /// Sets the pipeline. The worker takes its rules of redaction, and counts for the health of its component also if
        /// a filter disables its spans. Default: none, and the default rules.
        pub fn telemetry(telemetry: &Telemetry) { telemetry = Some(telemetry.clone()); }
        /// Sets the queue in which items that failed are parked. Give each type of item a queue of its own, such as
        /// `queue.named("import")`. Default: a queue in memory with the name of the worker, which holds 1,000 letters.
        pub fn letters(queue: &DeadLetterQueue) { letters = Some(queue.clone()); }
        /// Sets all settings, such as those of a file.
        pub fn settings(settings: WorkerSettings) { settings = settings; }
    }

    /// Sets the retry of [`Worker::run`]. Default: none.
    #[cfg(feature = "retry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "retry")))]
    pub fn retry(mut self, retry: &Retry) -> Self {
        self.retry = Some(retry.clone());
        self
    }

    /// Sets the circuit breaker of [`Worker::run`], through which each attempt goes. Default: none.
    #[cfg(feature = "breaker")]
    #[cfg_attr(docsrs, doc(cfg(feature = "breaker")))]
    pub fn breaker(mut self, breaker: &CircuitBreaker) -> Self {
        self.breaker = Some(breaker.clone());
        self
    }

    /// Makes the worker.
    ///
    /// # Errors
    /// When the name or a setting is out of its range. The error names it.
    pub fn build(self) -> Result<Worker, ConfigError> {
        let Self { name, settings, telemetry, letters, .. } = self;
        settings.validate(&name)?;
        let texts =
            telemetry.as_ref().map_or_else(Texts::default, |telemetry| Texts::of(telemetry.redactor()));
        let vital = telemetry.map(|telemetry| {
            let (vitals, worker) = (Arc::clone(telemetry.vitals()), Arc::clone(&name));
            Arc::new(WorkerVital { vitals, worker, vital: CachedVital::default() })
        });
        let letters =
            letters.unwrap_or_else(|| DeadLetterQueue::in_memory(CAPACITY).named(Arc::clone(&name)));
        let inner = Arc::new(Inner {
            letters,
            #[cfg(feature = "retry")]
            retry: self.retry,
            #[cfg(feature = "breaker")]
            breaker: self.breaker,
            vital,
            items: Arc::new(ItemCounts::new()),
            operations: Table::new(OPERATIONS),
            tasks: Table::new(TASKS),
            errors: ErrorBook::new(&settings),
            events: EventCounts::new(),
            log: FailureLog::new(Arc::clone(&name), settings.log_every, texts.clone()),
            loops: Controls::default(),
            texts,
            name,
        });
        signal::register(&inner);
        Ok(Worker { inner })
    }
}
