//! The parts that all exporting threads share.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::counters::Signal;
use crate::base::clock;
use crate::base::panics::catch;

/// Sends a message to a thread, and returns whether it answered `true` within `limit`.
pub(super) fn request<M>(to: &Sender<M>, limit: Duration, message: impl FnOnce(Sender<bool>) -> M) -> bool {
    let (reply, answer) = mpsc::channel();
    to.send(message(reply)).is_ok() && answer.recv_timeout(limit) == Ok(true)
}

/// Logs the result of an export of `signal` if the one before was different. `then` says what happens to the items.
pub(super) fn log_change(failing: &mut bool, signal: Signal, result: &OTelSdkResult, then: &str) {
    let signal = signal.as_str();
    match (std::mem::replace(failing, result.is_err()), result) {
        (true, Ok(())) => tracing::info!("exports of {signal} succeed again"),
        (false, Err(error)) => tracing::warn!(%error, "cannot export {signal}; {then}"),
        _ => {}
    }
}

/// Returns the result of `action`. A panic is an error.
pub(super) fn guarded(action: impl FnOnce() -> OTelSdkResult) -> OTelSdkResult {
    catch(action).unwrap_or_else(|_| Err(OTelSdkError::InternalFailure("the exporter panicked".to_owned())))
}

/// Runs a future on this thread for up to `limit`, or without a limit if that is zero. A future that never yields takes
/// longer.
pub(super) fn block_on(future: impl Future<Output = OTelSdkResult>, limit: Duration) -> OTelSdkResult {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let start = clock::now();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        if limit.is_zero() {
            thread::park();
            continue;
        }
        match limit.saturating_sub(clock::now().since(start)) {
            Duration::ZERO => return Err(OTelSdkError::Timeout(limit)),
            left => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    #[test]
    fn a_future_ends_by_itself_or_at_the_limit_and_a_panic_is_an_error() {
        let long = Duration::from_secs(60);
        let mut polls = 0;
        let twice = poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 2 { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        block_on(twice, long).unwrap();
        let short = Duration::from_millis(5);
        assert!(matches!(block_on(pending(), short), Err(OTelSdkError::Timeout(limit)) if limit == short));
        let panics = guarded(|| panic!("this message in the test's output is fine"));
        assert!(panics.unwrap_err().to_string().contains("the exporter panicked"));
    }
}
