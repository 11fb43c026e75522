//! The way out: first nobody sends any more, then nobody is served any more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::health::handle::Health;

impl Health {
    /// Says that the process is on its way out: not ready from now on, so that nobody sends new requests, while
    /// those under way are served. There is no way back.
    ///
    /// Those who watch over gRPC are told, and their streams end 5 s later, so that they do not hold up a server
    /// that waits for the end of what it serves. [`drain_after`](Self::drain_after) does all of a shutdown.
    pub fn drain(&self) {
        self.life().drain(None);
    }

    /// Whether the process is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.life().is_draining()
    }

    /// Waits for `signal`, [drains](Self::drain), and ends when `grace` has passed: what a server wants to be told
    /// when it shall shut down gracefully.
    ///
    /// For so long the server takes new requests all the same, since those who send them need a while to notice: give
    /// it a few periods of the readiness probe. Without a grace it ends with the signal. Those who watch over gRPC are told
    /// of the drain at once;
    /// their streams end with the grace.
    ///
    /// When the server has ended, [`Telemetry::shutdown`](crate::Telemetry::shutdown) sends what is left; not
    /// before, or the last requests are missing. Kubernetes kills after `terminationGracePeriodSeconds`, 30 unless
    /// set: the grace, the longest request and the flush must fit into it.
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
    /// let signal = async {}; // that of the system: SIGTERM from Kubernetes, Ctrl-C from people
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
        let life = Arc::clone(self.life());
        async move {
            signal.await;
            life.drain(Some(grace));
            tracing::info!(?grace, "draining: not ready any more, and served for the grace period");
            tokio::time::sleep(grace).await;
        }
    }
}
