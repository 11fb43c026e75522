//! The handle of a metrics server, and the start of its thread.

use std::net::{SocketAddr, TcpListener};
use std::{fmt, io, thread};

use tokio::net;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::listener;
use super::pages::{self, Pages};
use super::settings::MetricsServerSettings;
use crate::base::error::ConfigError;
use crate::telemetry::Telemetry;

/// `/metrics` and the probes on a port of their own. Dropping it ends it.
///
/// It runs on a thread and a runtime of its own. So it needs no runtime of the program, and it answers while that one is blocked.
/// `/livez` on this port therefore says that the process runs, not that its runtime does: to restart a process whose
/// runtime is blocked, probe `/livez` of the application's port, by
/// [`Health::http_service`](crate::Health::http_service).
///
/// | path | answer |
/// |---|---|
/// | `/metrics` | as of [`Telemetry::prometheus_service`](crate::Telemetry) (feature `prometheus`) |
/// | `/livez`, `/readyz`, `/startupz`, `/healthz` | as of [`Health::http_service`](crate::Health::http_service), without `?verbose` |
///
/// It takes HTTP/1 with GET and HEAD, and one request for each connection. The head of a request must arrive within 10 s,
/// and a connection ends after 30 s. At most four pages of `/metrics` are made at once. A page that takes longer than 20 s gets
/// 503. Probes have threads of their own.
///
/// With [`ShutdownBuilder::metrics_server`](crate::serve::ShutdownBuilder::metrics_server) it answers until all else has ended;
/// `/readyz` is 503 meanwhile.
///
/// # Example
/// ```
/// use campanile::Telemetry;
/// use campanile::serve::MetricsServer;
/// use std::net::Ipv4Addr;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = Telemetry::builder("nightly").prometheus().build()?;
/// let server = MetricsServer::builder(&telemetry).listen((Ipv4Addr::LOCALHOST, 0)).build()?;
/// println!("http://{}/metrics", server.address());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it ends the server"]
pub struct MetricsServer {
    address: SocketAddr,
    /// Its drop ends the server.
    stop: oneshot::Sender<()>,
    /// Ends with the thread.
    ended: oneshot::Receiver<()>,
}

impl MetricsServer {
    /// Listens on the port and starts the server, for the metrics and the health of `telemetry`.
    ///
    /// # Errors
    /// As of [`MetricsServerBuilder::build`](super::builder::MetricsServerBuilder::build).
    pub fn from_settings(
        telemetry: &Telemetry,
        settings: &MetricsServerSettings,
    ) -> Result<Self, ConfigError> {
        settings.validate().map_err(|error| error.within("metrics"))?;
        let refused = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there; end it, or choose another port".to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    format!("{error}; choose a port above 1023, or give the process the right to bind it")
                }
                io::ErrorKind::AddrNotAvailable => {
                    format!("{error}; choose an address of this machine, such as 127.0.0.1")
                }
                _ => error.to_string(),
            };
            ConfigError::because("metrics.listen", settings.listen, why)
        };
        let (runtime, listener) = open(settings.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let answers = Pages::new(telemetry, settings.probes);
        let max_connections = settings.max_connections;
        let (stop, stopped) = oneshot::channel();
        let (thread_ends, ended) = oneshot::channel();
        let serve = move || {
            runtime.block_on(listener::serve(listener, answers, max_connections, stopped));
            // Waits for no page that hangs.
            runtime.shutdown_background();
            drop::<oneshot::Sender<()>>(thread_ends);
        };
        thread::Builder::new().name("campanile-metrics".to_owned()).spawn(serve).map_err(refused)?;
        tracing::info!(%address, probes = settings.probes, "metrics are served");
        Ok(Self { address, stop, ended })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until requests in progress have ended.
    pub(in crate::edge::serve) async fn end(self) -> Result<(), String> {
        drop(self.stop);
        // An error is what tells the end of the thread.
        let _ = self.ended.await;
        Ok(())
    }
}

/// A runtime for the thread, and the listener in it.
fn open(address: SocketAddr) -> io::Result<(Runtime, net::TcpListener)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime =
        runtime::Builder::new_current_thread().enable_all().max_blocking_threads(pages::THREADS).build()?;
    let listener = {
        let _entered = runtime.enter();
        net::TcpListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

impl fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsServer").field("address", &self.address).finish_non_exhaustive()
    }
}
