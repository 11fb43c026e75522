//! The end of a program, in order.

use std::convert::Infallible;

use axum::serve::Listener;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{BoxError, Service};

use super::campanile::Campanile;
use crate::base::error::ConfigError;
use crate::edge::serve::{ShutdownBuilder, ShutdownReport, Stop};
use crate::worker::Worker;

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
    pub async fn run<F, E>(&self, server: impl FnOnce(Stop) -> F) -> Result<ShutdownReport, BoxError>
    where
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        self.shutdown().build()?.run(server).await.map_err(Into::into)
    }

    /// Ends the program in order, without a signal: readiness off, letters, telemetry, the port for metrics.
    ///
    /// # Errors
    /// When the settings of the shutdown are not valid, which [`start`](super::CampanileBuilder::start) has checked.
    pub async fn end(&self) -> Result<ShutdownReport, ConfigError> {
        let workers = self.inner.parts.lock().workers.all();
        workers.iter().for_each(Worker::log_failures);
        let shutdown = self.shutdown().grace(std::time::Duration::ZERO).signal(async {}).build()?;
        let nothing = |stop: Stop| async move {
            stop.await;
            Ok::<_, Infallible>(())
        };
        match shutdown.run(nothing).await {
            Ok(report) => Ok(report),
        }
    }

    /// Returns the builder of a shutdown with all queues and parts of this program, to change what starts it.
    pub fn shutdown(&self) -> ShutdownBuilder {
        let inner = &self.inner;
        let builder = ShutdownBuilder::from_settings(&inner.config.settings().shutdown)
            .telemetry(&inner.telemetry)
            .health(&inner.health);
        let builder = inner.parts.lock().queues().iter().fold(builder, ShutdownBuilder::queue);
        match inner.metrics_server.lock().take() {
            Some(server) => builder.metrics_server(server),
            None => builder,
        }
    }
}
