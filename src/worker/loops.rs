//! Loops: work at an interval, and the items of a stream.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::control::Control;
use super::failure::Failure;
use super::handle::Worker;
use super::loop_handle::LoopHandle;
use super::task::Task;
use crate::base::clock;
use crate::base::error::{Cause, ConfigError};
use crate::base::every::{Every, Schedule};
use crate::base::outcome::within;
use crate::base::panics::caught;

impl Worker {
    /// Runs `work` at an interval, in a task of its own, until the handle is dropped or drained.
    ///
    /// Each run is a run of the [task](Self::task) `name`: it is counted and timed, and a failure is logged. Runs never
    /// overlap: a run that takes longer than the interval delays the next one to the next multiple of the interval. A
    /// run that fails or panics does not end the loop. The first run comes within two seconds.
    ///
    /// Of `every`, a loop uses the interval, the jitter, and the timeout if it is set: a longer run is dropped, and counts
    /// as a timeout.
    ///
    /// # Errors
    /// When a setting of `every` is out of its range, or there is no Tokio runtime.
    ///
    /// # Example
    /// ```
    /// use campanile::{Every, Worker};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let poll = worker.run_loop("poll", Every::seconds(30), || async {
    ///     // Look for new files.
    ///     Ok::<_, std::io::Error>(())
    /// })?;
    /// // At the end of the program:
    /// let drained = poll.drain(Duration::from_secs(5)).await;
    /// assert!(drained.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_loop<F, Fut, R, E, K>(
        &self,
        name: &str,
        every: Every,
        work: F,
    ) -> Result<LoopHandle, ConfigError>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Send + 'static,
        E: Cause<K> + Send + 'static,
        K: 'static,
    {
        every.validate().map_err(|error| error.of("loop", name))?;
        let task = self.task(name);
        LoopHandle::start(self, name, |control| run_every(control, task, every, work))
    }

    /// [Runs](Self::run) each item of `stream`, one after the other, in a task of its own, until the stream ends or the handle
    /// is dropped or drained. An item that fails or panics does not end the loop. To process several items at once, start
    /// several loops. A panic of the stream itself is logged, and ends the loop.
    ///
    /// `tokio_stream::wrappers::ReceiverStream` makes a stream of a Tokio channel.
    ///
    /// # Errors
    /// When there is no Tokio runtime.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let rows = tokio_stream::iter([1_u32, 2, 3]);
    /// let rows = worker.run_stream("rows", rows, |row| async move { Ok::<_, String>(row) })?;
    /// while !rows.is_finished() {
    ///     tokio::task::yield_now().await;
    /// }
    /// assert_eq!(worker.snapshot().items.ok, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_stream<S, F, Fut, R, E, K>(
        &self,
        name: &str,
        stream: S,
        work: F,
    ) -> Result<LoopHandle, ConfigError>
    where
        S: Stream<Item: Clone + Serialize + DeserializeOwned + Send + 'static> + Send + 'static,
        F: Fn(S::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Send + 'static,
        E: Cause<K> + Send + 'static,
        K: 'static,
    {
        let worker = self.clone();
        LoopHandle::start(self, name, |control| run_items(control, worker, stream, work))
    }
}

async fn run_every<F, Fut, R, E, K>(control: Arc<Control>, task: Task, every: Every, mut work: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Cause<K>,
{
    let mut schedule = Schedule::new(&every, clock::now(), fastrand::f64());
    while control.wait_until(schedule.due()).await {
        control.set_running(true);
        // `work` is called inside of the run, because the call may panic too.
        let run = task.run(async { work().await });
        // A panic is counted and logged by the task.
        match every.timeout {
            Some(limit) => drop(caught(within(limit, run)).await),
            None => drop(caught(run).await),
        }
        control.set_running(false);
        schedule.advance(clock::now());
    }
}

async fn run_items<S, F, Fut, R, E, K>(control: Arc<Control>, worker: Worker, stream: S, work: F)
where
    S: Stream<Item: Clone + Serialize + DeserializeOwned>,
    F: Fn(S::Item) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Cause<K>,
{
    let (mut stream, work) = (pin!(stream), Arc::new(work));
    loop {
        let next = caught(poll_fn(|cx| stream.as_mut().poll_next(cx)));
        match control.unless_stopped(next).await {
            Some(Ok(Some(item))) => {
                control.set_running(true);
                // A failure or panic is counted, logged and parked.
                let work = Arc::clone(&work);
                drop(caught(worker.run(item, move |item| work(item))).await);
                control.set_running(false);
            }
            Some(Ok(None)) | None => return,
            Some(Err(panic)) => {
                let label = format!("the stream of loop `{}`", control.name);
                worker.inner.note(&Failure::of_panic(&panic), &control.name, &label);
                return;
            }
        }
    }
}
