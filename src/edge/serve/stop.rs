//! The future that ends when a server must stop.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;

/// A future that ends when a server must accept no more connections; given by [`Shutdown::run`](super::Shutdown::run).
///
/// Each clone ends at the same time. It also ends if the [`Shutdown`](super::Shutdown) is dropped.
pub struct Stop {
    stopped: watch::Receiver<bool>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Stop {
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { stopped, wait: None }
    }
}

impl Clone for Stop {
    fn clone(&self) -> Self {
        Self::new(self.stopped.clone())
    }
}

impl Future for Stop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let wait = this.wait.get_or_insert_with(|| {
            let mut stopped = this.stopped.clone();
            Box::pin(async move {
                // An error means that the sender is gone.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            })
        });
        wait.as_mut().poll(cx)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &*self.stopped.borrow()).finish()
    }
}
