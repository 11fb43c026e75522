//! The end of a program, in order.

use std::convert::Infallible;

use axum::serve::Listener;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service};

use super::campanile::Campanile;
use super::fault::RunError;
use crate::base::error::ConfigError;
use crate::edge::serve::{Drain, Late, ShutdownBuilder, ShutdownReport, Stop};
use crate::worker::{Drained, Worker};

impl Campanile {
    /// Serves `app` until SIGTERM or SIGINT, then ends the program in order: see [`Shutdown::serve`](crate::serve::Shutdown::serve).
    ///
    /// # Errors
    /// When the system refuses a handler for the signals.
    ///
    /// # Panics
    /// When the listener panics; after the shutdown.
    pub async fn serve<L, S, B>(&self, listener: L, app: S) -> Result<ShutdownReport, ConfigError>
    where
        L: Listener,
        L::Addr: Clone + Sync + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Ok(self.shutdown().build()?.serve(listener, app).await)
    }

    /// Runs another server, or a worker, until SIGTERM or SIGINT, then ends the program in order: see [`Shutdown::run`](crate::serve::Shutdown::run).
    ///
    /// # Errors
    /// The error of the server, or that of a system that refuses a handler for the signals.
    ///
    /// # Panics
    /// When the server panics; after the shutdown.
    pub async fn run<F, E>(&self, server: impl FnOnce(Stop) -> F) -> Result<ShutdownReport, RunError>
    where
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let shutdown = self.shutdown().build().map_err(RunError::new)?;
        shutdown.run(server).await.map_err(RunError::new)
    }

    /// Ends the program in order, without a signal: readiness off, letters, telemetry, the port for metrics.
    ///
    /// # Errors
    /// When the settings of the shutdown are not valid, which [`start`](super::CampanileBuilder::start) has checked.
    pub async fn end(&self) -> Result<ShutdownReport, ConfigError> {
        let shutdown = self.shutdown().grace(std::time::Duration::ZERO).signal(async {}).build()?;
        let nothing = |stop: Stop| async move {
            stop.await;
            Ok::<_, Infallible>(())
        };
        match shutdown.run(nothing).await {
            Ok(report) => Ok(report),
        }
    }

    /// Returns the builder of a shutdown with all parts of this program, to change what starts it. The queues are those that
    /// the program has when the shutdown begins, and the loops of its workers are drained together with the server.
    pub fn shutdown(&self) -> ShutdownBuilder {
        let inner = &self.inner;
        let this = self.clone();
        ShutdownBuilder::from_settings(&inner.config.settings().shutdown)
            .telemetry(&inner.telemetry)
            .health(&inner.health)
            .late(move || {
                let (queues, workers) = {
                    let parts = this.inner.parts.lock();
                    (parts.queues(), parts.workers.all())
                };
                let metrics_server = this.inner.metrics_server.lock().take();
                // The last handle would end telemetry before its step.
                Late { queues, metrics_server, drain: drain(workers), held: Some(Box::new(this)) }
            })
    }
}

/// Stops the loops of all workers at once, and waits for them.
fn drain(workers: Vec<Worker>) -> Option<Drain> {
    if workers.is_empty() {
        return None;
    }
    Some(Box::new(move |limit| {
        Box::pin(async move {
            let drains = workers.iter().map(async |worker| left(worker.name(), &worker.drain(limit).await));
            let left: Vec<_> = join_all(drains).await.into_iter().flatten().collect();
            (!left.is_empty()).then(|| left.join("; "))
        })
    }))
}

/// What a worker left undone.
fn left(worker: &str, drained: &Drained) -> Option<String> {
    let loops = drained.aborted.iter().map(|name| format!("the loop `{name}` of worker `{worker}`"));
    let items = (drained.items > 0).then(|| format!("{} items of worker `{worker}`", drained.items));
    let left: Vec<_> = loops.chain(items).collect();
    (!left.is_empty()).then(|| left.join("; "))
}
