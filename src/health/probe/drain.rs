//! Draining: the process is not ready any more, and the server ends after a grace period.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::health::handle::Health;

impl Health {
    /// Makes the process not ready for good, so that load balancers send no new requests. Requests that arrive are still
    /// served.
    ///
    /// gRPC streams of `Watch` get the change, and end 5 s later, so that they do not delay a graceful shutdown.
    /// [`drain_after`](Self::drain_after) does all that a shutdown needs.
    pub fn drain(&self) {
        self.inner.lifecycle.drain(None);
    }

    /// A future for the graceful shutdown of a server: waits for `signal`, [drains](Self::drain), and ends after `grace`.
    ///
    /// During the grace period the server still accepts requests, since load balancers need some time to notice: use a few
    /// periods of the readiness probe. With a grace period of zero the future ends with the signal. gRPC streams of
    /// `Watch` get the change at once, and end with the grace period.
    ///
    /// Call [`Telemetry::shutdown`](crate::Telemetry::shutdown) after the server has ended: earlier, it would miss the last
    /// requests. Kubernetes kills the process after `terminationGracePeriodSeconds` (30 by default): the grace period, the
    /// longest request and the flush of telemetry must fit into it.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let health = Health::standalone();
    /// let app: axum::Router = axum::Router::new();
    /// let signal = async {}; // SIGTERM from Kubernetes, Ctrl-C from a person
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// axum::serve(listener, app)
    ///     .with_graceful_shutdown(health.drain_after(signal, Duration::from_millis(10)))
    ///     .await?;
    /// assert!(!health.readiness().ready);
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain_after<F>(
        &self,
        signal: F,
        grace: Duration,
    ) -> impl Future<Output = ()> + Send + 'static + use<F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lifecycle = Arc::clone(&self.inner.lifecycle);
        async move {
            signal.await;
            lifecycle.drain(Some(grace));
            tracing::info!(
                ?grace,
                "draining: the process is not ready any more; it serves requests until the grace period ends"
            );
            tokio::time::sleep(grace).await;
        }
    }
}
