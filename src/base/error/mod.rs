//! The errors of the crate.
//!
//! To read the code, start with `call.rs`, the errors of calls that a layer refused or ended. `config.rs` holds the error of
//! an invalid setting, `send.rs` that of a call through reqwest. `chain.rs` walks through the causes of an error, and `cause.rs` lets layers do so for any error type.

mod call;
mod cause;
mod chain;
mod config;
#[cfg(feature = "reqwest")]
mod send;

pub use call::{CallError, RejectReason, Rejected, TimedOut};
pub use cause::{ByBox, ByError, ByText, Cause};
pub(crate) use chain::{causes, find_cause, inside, sources};
pub use config::ConfigError;
#[cfg(feature = "reqwest")]
pub(crate) use send::{SendError, reqwest_in, was_redirected};
