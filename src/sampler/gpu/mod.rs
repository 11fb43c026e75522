//! NVIDIA GPUs, read with the library of their driver (NVML).
//!
//! Start with `probes.rs`, the two sources. `session.rs` is the thread that calls the driver, `driver.rs` the open library
//! with its devices, `fast.rs` and `slow.rs` read one device, and `report.rs` makes metrics of the values.
//!
//! A driver may hang, lose devices, be replaced while the program runs, or be missing. So only its own thread calls it. A
//! lost device is reported as failed while the others are read. A call that a device does not support is made once.
//! Without a driver there is no thread, no series and no warning.
//!
//! A reading of one device costs 17 calls of some microseconds. Calls that take longer are in a separate source with a
//! longer interval.

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
