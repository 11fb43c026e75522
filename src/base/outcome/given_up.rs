//! Work that a layer of this crate drops because of a time limit.
//!
//! A dropped future cannot see why it was dropped. A timeout is a failure of the service, and a cancellation by the caller
//! is not. So the layers of this crate set a thread-local flag while they drop work because of a time limit. The inner layers
//! are dropped on the same thread and read the flag. Timeouts of other crates, such as tower's, look like a cancellation.
//!
//! In the same way, a layer that sees the request body sets a flag if the service was waiting for more of it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread::LocalKey;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

thread_local! {
    static TIMING_OUT: Cell<bool> = const { Cell::new(false) };
    #[cfg(any(feature = "breaker", feature = "retry", feature = "dead-letters"))]
    static WAITING_FOR_CALLER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `end`, which drops work because of a time limit.
#[cold]
pub(crate) fn timing_out<T>(end: impl FnOnce() -> T) -> T {
    during(&TIMING_OUT, end)
}

/// Whether the current drop is because of a time limit.
#[inline]
pub(crate) fn is_timing_out() -> bool {
    TIMING_OUT.try_with(Cell::get).unwrap_or(false)
}

/// Runs `end`, which drops a call that waits for its caller's request body.
#[cfg(any(feature = "retry", feature = "dead-letters"))]
#[cold]
pub(crate) fn waiting_for_caller<T>(end: impl FnOnce() -> T) -> T {
    during(&WAITING_FOR_CALLER, end)
}

/// Whether the call that is dropped now waits for its caller's request body.
#[cfg(feature = "breaker")]
#[cold]
pub(crate) fn is_waiting_for_caller() -> bool {
    WAITING_FOR_CALLER.try_with(Cell::get).unwrap_or(false)
}

fn during<T>(reason: &'static LocalKey<Cell<bool>>, end: impl FnOnce() -> T) -> T {
    /// Restores the flag, even after a panic in a drop.
    struct Restore(&'static LocalKey<Cell<bool>>, bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = self.0.try_with(|reason| reason.set(self.1));
        }
    }

    // A thread that is ending has no thread-local values.
    let _restore = Restore(reason, reason.try_with(|reason| reason.replace(true)).unwrap_or(false));
    end()
}

/// The output of `future`, which is dropped after `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(Some(future));
    let ended = timeout(
        limit,
        poll_fn(|cx| match future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }),
    )
    .await;
    if ended.is_err() {
        timing_out(|| future.set(None));
    }
    ended
}

#[cfg(any(feature = "breaker", feature = "checks"))]
pub(crate) use task::Timed;

/// Work in its own task. The runtime drops it, perhaps on another thread.
#[cfg(any(feature = "breaker", feature = "checks"))]
mod task {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use pin_project_lite::pin_project;
    use tokio::task::JoinHandle;

    use super::timing_out;
    use crate::base::sync::atomic::{AtomicBool, Ordering};

    /// A task that may be ended because of a time limit.
    #[derive(Debug)]
    pub(crate) struct Timed<T> {
        pub(crate) task: JoinHandle<T>,
        time_is_up: Arc<AtomicBool>,
    }

    impl<T: Send + 'static> Timed<T> {
        pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
            let time_is_up = Arc::<AtomicBool>::default();
            let task = tokio::spawn(Work { work: Some(work), time_is_up: Arc::clone(&time_is_up) });
            Self { task, time_is_up }
        }
    }

    impl<T> Timed<T> {
        /// Ends the task because of a time limit.
        pub(crate) fn give_up(&self) {
            self.time_is_up.store(true, Ordering::Release);
            self.task.abort();
        }
    }

    pin_project! {
        struct Work<F> {
            #[pin]
            work: Option<F>,
            time_is_up: Arc<AtomicBool>,
        }

        impl<F> PinnedDrop for Work<F> {
            fn drop(this: Pin<&mut Self>) {
                let mut this = this.project();
                if this.time_is_up.load(Ordering::Acquire) {
                    timing_out(|| this.work.set(None));
                }
            }
        }
    }

    impl<F: Future> Future for Work<F> {
        type Output = F::Output;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            match self.project().work.as_pin_mut() {
                Some(work) => work.poll(cx),
                None => Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::panics::catch;

    #[test]
    fn p07_only_drops_inside_see_the_flag() {
        assert!(!is_timing_out());
        timing_out(|| {
            timing_out(|| assert!(is_timing_out()));
            assert!(is_timing_out(), "the inner call keeps the flag of the outer one");
            assert!(
                std::thread::spawn(|| !is_timing_out()).join().unwrap(),
                "another thread is not affected"
            );
        });
        assert!(!is_timing_out());
    }

    #[test]
    fn p07_a_panic_in_a_drop_resets_the_flag() {
        let panicked = catch(|| timing_out(|| panic!("on purpose")));
        assert!(panicked.is_err() && !is_timing_out());
    }

    #[tokio::test(start_paused = true)]
    async fn p07_only_work_that_takes_too_long_sees_the_flag() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU8, Ordering};

        /// Records why it was dropped: 1 for a cancellation, 2 for a time limit.
        struct Notes(Arc<AtomicU8>);
        impl Drop for Notes {
            fn drop(&mut self) {
                self.0.store(1 + u8::from(is_timing_out()), Ordering::SeqCst);
            }
        }
        let seen = Arc::<AtomicU8>::default();
        let work = |takes| {
            let notes = Notes(Arc::clone(&seen));
            async move {
                tokio::time::sleep(Duration::from_secs(takes)).await;
                drop(notes);
            }
        };
        assert!(within(Duration::from_secs(2), work(1)).await.is_ok());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        assert!(within(Duration::from_secs(2), work(3)).await.is_err());
        assert_eq!(seen.load(Ordering::SeqCst), 2);
        // A cancellation sets no flag.
        assert!(timeout(Duration::from_secs(1), within(Duration::from_secs(2), work(3))).await.is_err());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    }

    #[cfg(any(feature = "breaker", feature = "checks"))]
    #[tokio::test(start_paused = true)]
    async fn p07_a_task_sees_whether_it_timed_out_or_was_aborted() {
        use tokio::sync::oneshot;

        struct Reports(Option<oneshot::Sender<bool>>);
        impl Drop for Reports {
            fn drop(&mut self) {
                let _ = self.0.take().map(|sender| sender.send(is_timing_out()));
            }
        }
        for timing_out in [true, false] {
            let (sender, reported) = oneshot::channel();
            let reports = Reports(Some(sender));
            let timed = Timed::spawn(async move {
                let _reports = reports;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
            if timing_out {
                timed.give_up();
            } else {
                timed.task.abort();
            }
            assert_eq!(reported.await, Ok(timing_out));
        }
    }
}
