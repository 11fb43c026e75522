//! The signals that end a process. Start with `listen.rs`.

mod listen;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use listen::{ShutdownSignal, shutdown_signal};
#[cfg(unix)]
use unix::Signals;
#[cfg(windows)]
use windows::Signals;
