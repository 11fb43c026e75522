//! The GPUs, by the library of their driver.
//!
//! A driver is a thing that hangs, loses devices, is replaced under a running program, and is missing on most
//! machines. So a thread of its own talks to it ([`session`]); a device that is lost is reported as failed while
//! the others go on; what a device does not support is asked for once; and where there is no driver there is
//! nothing: no thread, no series, no warning.
//!
//! One device costs 17 calls a reading, each of microseconds. What takes the driver longer is a source of its own
//! with a longer interval ([`slow`]).

mod device;
mod driver;
mod fast;
mod handle;
mod history;
mod names;
mod probes;
mod range;
mod report;
mod session;
mod settings;
mod slow;
mod snapshot;
mod state;
mod support;

pub use self::device::{GpuClocks, GpuDevice, GpuMemory};
pub(super) use self::probes::plans;
pub use self::settings::GpuSettings;
pub use self::snapshot::GpuSnapshot;
pub use self::state::GpuState;
