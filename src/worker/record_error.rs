//! Errors that fail no item.

use super::errors::RecordedError;
use super::failure::Failure;
use super::handle::Worker;
use super::texts::{Fields, json};
use crate::base::error::Cause;

impl Worker {
    /// Records an error that fails no item or task; those are recorded by themselves. `context` holds what helps to
    /// understand it.
    ///
    /// It is counted by its type, kept among the recent errors of the snapshot, and emitted as one event of the level `ERROR`,
    /// with the trace and the correlation id. It has the error's sources, and the backtrace of this place if
    /// `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asks for it. Secrets are removed.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let error = std::io::Error::other("the cache is damaged");
    /// worker.record_error(&error, &[("cache", &"prices"), ("password", &"hunter2")]);
    /// let recorded = &worker.snapshot().errors.recent[0];
    /// assert_eq!(recorded.message, "the cache is damaged");
    /// assert_eq!(recorded.context["password"], "[redacted]");
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_error<K>(&self, error: &impl Cause<K>, context: Fields<'_>) {
        let inner = &self.inner;
        let failure = Failure::of(error);
        let mut recorded = RecordedError::new(&failure, "", &inner.texts).with_backtrace();
        recorded.context = inner.texts.fields(context);
        let fields = json(&recorded.context);
        tracing::error!(
            target: "campanile::worker",
            worker = &*inner.name,
            component = &*inner.name,
            "exception.type" = failure.label(),
            "exception.message" = &*inner.texts.clean(&failure.line(), super::errors::LONGEST_MESSAGE),
            "exception.stacktrace" = recorded.backtrace.as_deref(),
            fields = fields.as_deref(),
            "{}",
            recorded.message
        );
        inner.errors.add(failure.label(), recorded);
    }
}
