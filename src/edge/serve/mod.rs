//! Start and stop of a program that serves: signals, an ordered shutdown, and `/metrics` and probes on a port of their own.
//!
//! To read the code, start with `handle.rs`: [`Shutdown`] owns the order. `steps.rs` runs one step within its limit,
//! `closing.rs` holds what the later steps do, `server/` is the HTTP server, `metrics/` the listener apart, and `signal/` waits
//! for SIGTERM.
//!
//! # Why
//! A process that ends at SIGTERM loses the requests in progress, and those that a load balancer sends until it notices. So a
//! shutdown has an order, and each step of it needs a limit: Kubernetes kills the process after 30 s.
//!
//! | step | what happens | limit |
//! |---|---|---|
//! | [`Grace`](ShutdownStep::Grace) | Readiness is off. Requests are still served; answers over HTTP/1 close their connection, so that clients connect elsewhere. | [`grace`](ShutdownSettings::grace) |
//! | [`Drain`](ShutdownStep::Drain) | The server accepts no connection. Requests in progress end; HTTP/2 connections get GOAWAY. What is left at the limit is cut off. | [`drain`](ShutdownSettings::drain) |
//! | [`Letters`](ShutdownStep::Letters) | Redrives stop, and letters on their way to their store arrive. | [`letters`](ShutdownSettings::letters) |
//! | [`Telemetry`](ShutdownStep::Telemetry) | The last spans, metrics and logs are exported. | [`telemetry`](ShutdownSettings::telemetry) |
//! | [`MetricsServer`](ShutdownStep::MetricsServer) | `/metrics` and the probes end last. | 1 s |
//!
//! All steps together end within [`total`](ShutdownSettings::total). Each is logged in one line, at WARN if it left something,
//! and is in the [`ShutdownReport`]. A panic of the server, or an error that ends it early, does not skip the later steps.
//!
//! # Example
//! ```no_run
//! use axum::{Router, routing::get};
//! use campanile::Telemetry;
//! use campanile::serve::{MetricsServer, Shutdown};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = Telemetry::builder("shop").prometheus().install()?;
//! let shutdown = Shutdown::builder()
//!     .telemetry(&telemetry)
//!     .metrics_server(MetricsServer::builder(&telemetry).build()?) // 127.0.0.1:9464
//!     .build()?;
//!
//! let app: Router = Router::new().route("/", get(|| async { "hello" }));
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//! let report = shutdown.serve(listener, app).await; // until SIGTERM, then in order
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # What it cannot do
//! A handler that blocks its thread cannot be ended by any server: the runtime waits for it when `main` returns. A second signal
//! ends such a process: see [`shutdown_signal`](crate::shutdown_signal). A connection that was upgraded, such as a WebSocket, is
//! not waited for.

mod builder;
mod closing;
mod handle;
#[cfg(feature = "hub")]
mod late;
mod metrics;
mod report;
mod server;
mod settings;
mod signal;
mod steps;
mod stop;

pub use builder::ShutdownBuilder;
pub use handle::Shutdown;
#[cfg(feature = "hub")]
pub(crate) use late::{Drain, Late};
pub use metrics::{MetricsServer, MetricsServerBuilder, MetricsServerSettings};
pub use report::{ShutdownReport, ShutdownStep, StepReport, StepResult};
pub use settings::ShutdownSettings;
pub use signal::{ShutdownSignal, shutdown_signal};
pub use stop::Stop;
