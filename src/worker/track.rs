//! Operations that are tracked: calls of databases and APIs, steps of the work.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tracing::field;

use super::failure::Failure;
use super::handle::Worker;
use super::operation::Operation;
use super::watch::{Watch, Watched};
use crate::base::error::Cause;

impl Worker {
    /// Tracks one call of an operation that handles `items` items: a query, a request, a step of the work. The result is
    /// passed on unchanged.
    ///
    /// The snapshot shows for each operation its calls, failures, durations, and the items per second, each call with its
    /// time. Only the items of calls that succeed count. The call has a span of the worker's component. A call that is
    /// dropped counts as cancelled, one that panics as a panic.
    ///
    /// A worker tracks up to 64 operations whose names have up to 128 bytes. Further ones are counted as `_OTHER`.
    ///
    /// # Example
    /// ```
    /// use campanile::Worker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn fetch_rows() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2, 3]) }
    /// let worker = Worker::builder("import").build()?;
    /// let rows = worker.track("fetch", 3, fetch_rows()).await?;
    /// let fetch = &worker.snapshot().operations[0];
    /// assert_eq!((fetch.calls, fetch.failed, fetch.items), (1, 0, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn track<F, R, E, K>(&self, operation: &str, items: u64, work: F) -> Tracked<F, K>
    where
        F: Future<Output = Result<R, E>>,
        E: Cause<K>,
    {
        let inner = &self.inner;
        let operation = inner.operations.entry(operation, |name| Operation::new(&inner.name, name));
        let span = tracing::info_span!(
            target: "campanile::worker",
            "operation",
            component = &*inner.name,
            "otel.name" = &*operation.name,
            "error.type" = field::Empty
        );
        let watch = Watch::start(&operation, inner.vital.as_ref(), span);
        Tracked { call: Watched::new(work, watch), items, memory: None, error: PhantomData }
    }
}

pin_project! {
    /// The future of [`Worker::track`].
    ///
    /// # Panics
    /// When it is polled after it has completed.
    #[must_use = "futures do nothing unless polled"]
    pub struct Tracked<F, K> {
        #[pin]
        call: Watched<F, Operation>,
        items: u64,
        // The resident memory before the call, if it is measured.
        memory: Option<u64>,
        error: PhantomData<fn() -> K>,
    }
}

impl<F, K> Tracked<F, K> {
    /// Also reads the resident memory of the process, before the call and after it. It takes about 20 µs each time, in a
    /// system call that blocks. Other work in the process changes the memory too.
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn with_memory(mut self) -> Self {
        self.memory = crate::sampler::resident_memory();
        self
    }
}

impl<F, R, E, K> Future for Tracked<F, K>
where
    F: Future<Output = Result<R, E>>,
    E: Cause<K>,
{
    type Output = Result<R, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(this.call.as_mut().poll(cx));
        let operation = std::sync::Arc::clone(this.call.watch.subject());
        match &result {
            Ok(_) => {
                operation.add_items(*this.items);
                this.call.end(None);
            }
            Err(error) => drop(this.call.end(Some(&Failure::of(error)))),
        }
        #[cfg(feature = "system")]
        if let (Some(before), Some(after)) =
            (*this.memory, this.memory.and_then(|_| crate::sampler::resident_memory()))
        {
            operation.measured(before, after);
        }
        Poll::Ready(result)
    }
}

impl<F, K> fmt::Debug for Tracked<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("operation", self.call.watch.subject()).finish_non_exhaustive()
    }
}
