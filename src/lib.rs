#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
//! Campanile.

pub mod backoff;
pub mod breaker;
mod clock;
pub mod dead_letter;
mod duration;
pub mod error;
#[cfg(feature = "telemetry")]
pub mod health;
pub mod outcome;
pub mod retry;
#[cfg(feature = "system")]
pub mod sampler;
pub mod signal;
mod sketch;
pub mod store;
mod sync;
#[cfg(feature = "telemetry")]
pub mod telemetry;
pub mod timing;
mod window;

pub use backoff::{Backoff, Jitter};
pub use breaker::{CircuitBreaker, CircuitState, HalfOpen};
pub use dead_letter::DeadLetterQueue;
pub use error::{CallError, ConfigError, RejectReason, Rejected, TimedOut};
#[cfg(feature = "telemetry")]
pub use health::Health;
pub use outcome::{Classify, FailureKind, Outcome};
pub use retry::{Retry, RetryBudget};
#[cfg(feature = "telemetry")]
pub use telemetry::Telemetry;
pub use timing::Timing;
pub use window::Window;
