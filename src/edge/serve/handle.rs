//! The order of a shutdown.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::serve::Listener;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Service};

use super::closing;
#[cfg(feature = "hub")]
use super::late::{self, LateParts};
use super::metrics::{self, MetricsServer};
use super::report::{ShutdownReport, ShutdownStep, StepReport, StepResult};
use super::server::{Load, accept};
use super::settings::ShutdownSettings;
use super::steps::Steps;
use super::stop::Stop;
use crate::base::panics::{Panic, catch, caught};
#[cfg(feature = "dead-letters")]
use crate::dead_letter::DeadLetterQueue;
use crate::health::Health;
use crate::telemetry::Telemetry;

/// The shutdown of a program, in its order: see the [module](crate::serve).
///
/// [`serve`](Self::serve) runs an HTTP server until the signal, and [`run`](Self::run) any other server or worker.
#[must_use = "a shutdown does nothing until `serve` or `run`"]
pub struct Shutdown {
    pub(super) settings: ShutdownSettings,
    pub(super) health: Option<Health>,
    pub(super) telemetry: Option<Telemetry>,
    #[cfg(feature = "dead-letters")]
    pub(super) queues: Vec<DeadLetterQueue>,
    pub(super) metrics_server: Option<MetricsServer>,
    #[cfg(feature = "hub")]
    pub(super) late: Option<LateParts>,
    pub(super) signal: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Shutdown {
    /// Serves `app` over HTTP/1 and HTTP/2 until the signal, then shuts down in order. Returns what each step did.
    ///
    /// `app` is an axum `Router` or another tower service, and `listener` one of Tokio's or another
    /// [`Listener`](axum::serve::Listener) of axum. Requests carry their peer's address as
    /// [`ConnectInfo`](axum::extract::ConnectInfo).
    ///
    /// During the grace period, answers over HTTP/1 have `Connection: close`. Then the listener is closed. Connections that it had
    /// already accepted, or that wait in its queue, may still send their first request, for up to half a second. HTTP/2
    /// connections get GOAWAY, and end after their last stream.
    ///
    /// # Example
    /// ```
    /// use axum::{Router, routing::get};
    /// use campanile::Health;
    /// use campanile::serve::{Shutdown, ShutdownStep};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::standalone();
    /// let shutdown = Shutdown::builder()
    ///     .health(&health)
    ///     .grace(Duration::from_millis(10))
    ///     .signal(async {}) // default: SIGTERM or SIGINT
    ///     .build()?;
    /// let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let report = shutdown.serve(listener, app).await;
    /// assert!(report.is_complete() && !health.is_ready());
    /// assert!(report.step(ShutdownStep::Drain).is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the listener panics; after the shutdown.
    pub async fn serve<L, S, B>(self, listener: L, app: S) -> ShutdownReport
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
        let load = Arc::<Load>::default();
        let server = {
            let load = Arc::clone(&load);
            move |stop| accept(listener, app, load, stop)
        };
        let (ended, report) = self.in_order(&load, server).await;
        match ended {
            Some(Err(panic)) => panic.resume(),
            _ => report,
        }
    }

    /// Runs another server, or a worker, until the signal, then shuts down in order. Returns what each step did.
    ///
    /// `server` gets a future that ends when it must accept no more, after the grace period. From then on it has
    /// [`drain`](ShutdownSettings::drain) to end by itself; then it is dropped.
    ///
    /// # Errors
    /// The error of the server. The shutdown was in order all the same, and its steps are in the log.
    ///
    /// # Example
    /// With tonic:
    /// ```no_run
    /// use campanile::Health;
    /// use campanile::serve::Shutdown;
    /// use tonic::transport::Server;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::standalone(); // or `.telemetry(&telemetry)`, which has one
    /// let server = Server::builder().add_service(health.grpc_service());
    /// let address = "0.0.0.0:50051".parse()?;
    /// let shutdown = Shutdown::builder().health(&health).build()?;
    /// shutdown.run(|stop| server.serve_with_shutdown(address, stop)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the server panics; after the shutdown.
    pub async fn run<F, E>(self, server: impl FnOnce(Stop) -> F) -> Result<ShutdownReport, E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let (ended, report) = self.in_order(&Load::default(), server).await;
        match ended {
            Some(Err(panic)) => panic.resume(),
            Some(Ok(Err(error))) => Err(error),
            Some(Ok(Ok(()))) | None => Ok(report),
        }
    }

    /// Returns how the server ended, or `None` if it was cut off.
    async fn in_order<F: Future>(
        self,
        load: &Load,
        server: impl FnOnce(Stop) -> F,
    ) -> (Option<Result<F::Output, Panic>>, ShutdownReport) {
        let Self { settings, health, telemetry, signal, .. } = self;
        #[cfg_attr(not(feature = "hub"), expect(unused_mut, reason = "the hub adds to them"))]
        let mut metrics_server = self.metrics_server;
        #[cfg(feature = "dead-letters")]
        #[cfg_attr(not(feature = "hub"), expect(unused_mut, reason = "the hub adds to them"))]
        let mut queues = self.queues;
        // A signal of the program that panics starts the shutdown too.
        let mut signal = pin!(caught(signal));
        let (stopper, stopped) = watch::channel(false);
        let mut ended = None;
        let mut server = match catch(|| server(Stop::new(stopped))) {
            Ok(server) => Some(Box::pin(caught(server))),
            Err(panic) => {
                ended = Some(Err(panic));
                None
            }
        };

        if let Some(server) = &mut server {
            tokio::select! {
                output = server => ended = Some(output),
                result = &mut signal => if let Err(panic) = result {
                    let message = panic.message().unwrap_or("without a message");
                    tracing::error!(message, "the signal of the shutdown panicked");
                }
            }
        }
        let mut steps = Steps::begin(settings.total);
        #[cfg(feature = "hub")]
        let (work, _held) = {
            let late = self.late.and_then(|late| catch(late).ok()).unwrap_or_default();
            queues.extend(late.queues);
            metrics_server = metrics_server.or(late.metrics_server);
            (late.drain, late.held)
        };
        #[cfg(feature = "dead-letters")]
        let letters = closing::Letters::watch(&queues);
        if let Some(health) = &health {
            health.drain_for(settings.grace);
        }
        load.close_connections();

        match (&mut server, &ended) {
            (Some(server), None) => {
                let grace = settings.grace;
                tracing::info!(
                    ?grace,
                    "shutting down: not ready any more; requests are served until the grace period ends"
                );
                let began = Instant::now();
                tokio::select! {
                    output = server => ended = Some(output),
                    () = sleep(grace) => {}
                }
                let (step, result) = (ShutdownStep::Grace, StepResult::Completed);
                steps.add(StepReport { step, result, took: began.elapsed(), left: None });
            }
            _ => tracing::info!("shutting down: the server ended by itself"),
        }

        stopper.send_replace(true);
        let serves = server.is_some() && ended.is_none();
        #[cfg(feature = "hub")]
        let drains = serves || work.is_some();
        #[cfg(not(feature = "hub"))]
        let drains = serves;
        if drains {
            let (began, limit) = (Instant::now(), steps.limit(settings.drain));
            let requests = async {
                if let (Some(server), true) = (&mut server, serves) {
                    ended = timeout(limit, server).await.ok();
                }
                (serves && ended.is_none()).then(|| load.left())
            };
            #[cfg(feature = "hub")]
            let (requests, work) = tokio::join!(requests, late::drain(work, limit));
            #[cfg(not(feature = "hub"))]
            let (requests, work) = (requests.await, None);
            let left: Vec<String> = [requests, work].into_iter().flatten().collect();
            let (result, left) = match &left[..] {
                [] => (StepResult::Completed, None),
                left => (StepResult::TimedOut, Some(left.join("; "))),
            };
            steps.add(StepReport { step: ShutdownStep::Drain, result, took: began.elapsed(), left });
        }
        // Ends what is left of the server. Its drop may panic.
        drop(catch(move || drop(server)));

        #[cfg(feature = "dead-letters")]
        if !queues.is_empty() {
            let work = letters.close();
            steps.run(ShutdownStep::Letters, settings.letters, work, || letters.left()).await;
        }
        if let Some(telemetry) = telemetry {
            let limit = steps.limit(settings.telemetry);
            let work = closing::end_telemetry(telemetry, limit);
            let left = || Some(closing::UNDELIVERED.to_owned());
            steps.run(ShutdownStep::Telemetry, limit, work, left).await;
        }
        if let Some(server) = metrics_server {
            let left = || Some("a request for metrics".to_owned());
            steps.run(ShutdownStep::MetricsServer, metrics::END_WITHIN, server.end(), left).await;
        }
        (ended, steps.into_report())
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("settings", &self.settings)
            .field("metrics_server", &self.metrics_server)
            .finish_non_exhaustive()
    }
}
