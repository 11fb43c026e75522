//! One name per service, one file of settings, one `start()`.
//!
//! [`Campanile`] is everything in this crate, put together: telemetry, health, samplers, the port for `/metrics` and the
//! probes, and for each thing that a program offers, calls or works on, the layers that belong to it, in the right order
//! and under one name. Settings choose what is on. Each part can be used alone as well.
//!
//! To read the code, start with `builder.rs` and `start.rs`. `campanile.rs` is the handle; `build/`
//! makes the parts, `server/` and `dependency/` are two of them; `reload.rs` replaces settings while the program runs.
//!
//! # Parts that do not start
//! A part that does not start is left out: it is logged, and [`Campanile::faults`] lists it. The rest runs. With
//! [`strict`](CampanileBuilder::strict), the start fails instead. Settings that are not valid always fail the start.
//!
//! # Example
//! ```
//! use campanile::Campanile;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let campanile = Campanile::builder("checkout")
//!     .arguments(["dependency.payments.retry.max_attempts=2"]) // a file and the environment too
//!     .start()
//!     .await?;
//! let payments = campanile.dependency("payments").build().await?;
//!
//! let paid = payments.call(|| async { Ok::<_, std::io::Error>("paid") }).await?;
//! assert_eq!(paid, "paid");
//! # Ok(())
//! # }
//! ```

mod build;
mod builder;
mod campanile;
pub mod config;
mod dependency;
mod endpoint;
mod fault;
mod global;
mod inner;
mod letters;
mod parts;
mod reload;
mod scope;
mod server;
mod serving;
mod start;
mod watching;

pub use build::{DependencyBuilder, HubWorkerBuilder, ServerBuilder};
pub use builder::CampanileBuilder;
pub use campanile::Campanile;
#[cfg(feature = "grpc")]
pub use dependency::DependencyChannel;
pub use dependency::{Dependency, DependencyClient};
pub use fault::{RunError, StartError, StartFault};
pub use scope::{Scope, ScopeCounts, ScopeReport};
pub use server::{Server, ServerLayer};
