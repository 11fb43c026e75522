//! Tasks: work that runs again and again under one name.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tracing::field;

use super::failure::Failure;
use super::handle::Worker;
use super::inner::Inner;
use super::task_state::TaskState;
use super::watch::{Ended, Watch, observe};
use crate::base::error::Cause;

impl Worker {
    /// Returns the task `name`: its runs are counted and timed, and the snapshot shows the status and the last run.
    ///
    /// A worker has up to 128 tasks and loops whose names have up to 128 bytes. Further ones are counted as `_OTHER`.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    /// use campanile::worker::TaskStatus;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let sync = worker.task("sync");
    /// let result = sync.run(async { Ok::<_, std::io::Error>(42) }).await;
    /// assert_eq!(result.ok(), Some(42));
    /// let sync = &worker.snapshot().tasks[0];
    /// assert_eq!((sync.runs, sync.status), (1, TaskStatus::Ok));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn task(&self, name: &str) -> Task {
        let inner = Arc::clone(&self.inner);
        let state = inner.tasks.entry(name, |name| TaskState::new(&inner.name, name));
        Task { inner, state }
    }
}

/// A task of a worker: see [`Worker::task`]. Cheap to clone.
#[derive(Clone)]
pub struct Task {
    inner: Arc<Inner>,
    state: Arc<TaskState>,
}

impl Task {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Runs the task once. The result is passed on unchanged. A failure is logged, and is one of the recent errors of the
    /// worker. A run that is dropped counts as cancelled.
    ///
    /// # Errors
    /// The error of `work`.
    ///
    /// # Panics
    /// When `work` panics, once the panic is counted.
    pub async fn run<F, R, E, K>(&self, work: F) -> Result<R, E>
    where
        F: Future<Output = Result<R, E>>,
        E: Cause<K>,
    {
        let Ended { result, failure, span } = observe(self.watch(), work, Failure::of).await;
        if let Some(failure) = failure {
            span.in_scope(|| self.inner.note(&failure, &self.state.name, &self.state.label));
        }
        drop(span);
        result.unwrap_or_else(|panic| panic.resume())
    }

    /// Starts a run whose code is not one future. It ends with the guard: a guard that is dropped counts as cancelled, or
    /// as a panic if its thread panics.
    ///
    /// # Example
    /// ```
    /// # fn import() -> Result<(), std::io::Error> { Ok(()) }
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = campanile::Worker::builder("import").build()?;
    /// let run = worker.task("sync").start();
    /// match import() {
    ///     Ok(()) => run.succeed(),
    ///     Err(error) => run.fail(&error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(&self) -> TaskRun {
        TaskRun { inner: Arc::clone(&self.inner), watch: self.watch() }
    }

    fn watch(&self) -> Watch<TaskState> {
        let span = tracing::info_span!(
            target: "campanile::worker",
            "task",
            component = &*self.inner.name,
            "otel.name" = &*self.state.name,
            "error.type" = field::Empty
        );
        Watch::start(&self.state, self.inner.vital.as_ref(), span)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("worker", &self.inner.name)
            .field("name", &self.state.name)
            .finish_non_exhaustive()
    }
}

/// A run of a task: see [`Task::start`].
#[must_use = "a run that is dropped counts as cancelled"]
pub struct TaskRun {
    inner: Arc<Inner>,
    watch: Watch<TaskState>,
}

impl TaskRun {
    /// The run succeeded.
    pub fn succeed(mut self) {
        self.watch.end(None);
    }

    /// The run failed. The failure is logged, and is one of the recent errors of the worker.
    pub fn fail<K>(mut self, error: &impl Cause<K>) {
        let failure = Failure::of(error);
        let span = self.watch.end(Some(&failure));
        let task = self.watch.subject();
        span.in_scope(|| self.inner.note(&failure, &task.name, &task.label));
    }
}

impl Drop for TaskRun {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.watch.panics();
        }
    }
}

impl fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRun").field("task", self.watch.subject()).finish_non_exhaustive()
    }
}
