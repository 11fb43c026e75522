//! Checks: asking a component how it is, in good time and side by side.
//!
//! # Why
//! What nobody calls leaves no vital signs, and the first call to a database that is gone should not be a
//! customer's. A check asks on a rhythm of its own. What it found is kept: a probe never makes a check run, and a
//! check that hangs or panics is told as such and holds nobody up.

mod ask;
mod blocking;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod endpoint;
mod entry;
mod every;
mod finding;
mod first_of;
#[cfg(feature = "grpc")]
mod grpc;
mod handle;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "dead-letters")]
mod letters;
mod limits;
mod patience;
mod polling;
mod pool;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod rhythm;
mod runner;
mod service;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "http")]
mod tcp;
mod telling;
mod words;

use std::future::Future;

#[cfg(feature = "redis")]
pub use self::redis::{RedisCheck, RedisConnectionCheck};
pub use blocking::BlockingCheck;
pub use every::Every;
pub use finding::{Finding, IntoFinding};
pub use first_of::FirstOf;
#[cfg(feature = "grpc")]
pub use grpc::{GrpcCheck, GrpcCheckBuilder, GrpcCheckSettings};
pub use handle::CheckHandle;
#[cfg(feature = "http")]
pub use http::{HttpCheck, HttpCheckBuilder, HttpCheckMethod, HttpCheckSettings, Statuses};
pub use limits::{CheckExt, Limited};
pub use pool::{Pool, PoolCheck, PoolCheckBuilder, PoolCheckSettings};
pub(super) use registry::Checks;
pub use service::ServiceCheck;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteCheck, SqliteCheckBuilder, SqliteCheckSettings};
#[cfg(feature = "http")]
pub use tcp::{TcpCheck, TcpCheckBuilder, TcpCheckSettings};

/// Something that can be asked how it is.
///
/// Any function that gives a future is one, when that ends in something that [tells](IntoFinding) how it went.
pub trait Check: Send + Sync + 'static {
    /// Asks. May take its time, fail, hang or panic: whoever asks waits no longer than [`Every::timeout`].
    fn check(&self) -> impl Future<Output = Finding> + Send;
}

impl<F, Fut> Check for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoFinding,
{
    async fn check(&self) -> Finding {
        self().await.into_finding()
    }
}
