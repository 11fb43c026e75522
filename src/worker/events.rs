//! Structured events.

use super::event_counts::Severity;
use super::handle::Worker;
use super::texts::{Fields, json};

/// The maximum number of bytes of the message of an event.
const LONGEST: usize = 4 * 1_024;

impl Worker {
    /// Emits an event: what happened, in which component, and how severe it is.
    ///
    /// It is an event of `tracing` with the target `campanile::worker` and the fields `component`, `event`, `severity` and
    /// `fields`, which is JSON. So it reaches the console and OTLP, with the trace and the correlation id. Secrets are
    /// removed. It is counted by component, event and severity: up to 256 combinations, whose names have about 100 bytes
    /// together; further ones are counted as `_OTHER`.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    /// use campanile::worker::Severity;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let fields: &[(&str, &dyn std::fmt::Display)] = &[("file", &"customers.csv"), ("rows", &1_200)];
    /// worker.event("parser", "file_imported", Severity::Info, "a file was imported", fields);
    /// assert_eq!(worker.snapshot().events[0].count, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn event(&self, component: &str, event: &str, severity: Severity, message: &str, fields: Fields<'_>) {
        let inner = &self.inner;
        inner.events.add(component, event, severity);
        let message = inner.texts.clean(message, LONGEST);
        let fields = json(&inner.texts.fields(fields));
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(
                    target: "campanile::worker",
                    tracing::Level::$level,
                    worker = &*inner.name,
                    component,
                    event,
                    severity = severity.as_str(),
                    fields = fields.as_deref(),
                    "{message}"
                )
            };
        }
        match severity {
            Severity::Info => emit!(INFO),
            Severity::Warning => emit!(WARN),
            Severity::Error | Severity::Critical => emit!(ERROR),
        }
    }
}
