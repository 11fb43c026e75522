//! The values of one reading of a device.

use std::sync::Arc;

use serde::Serialize;

use super::state::GpuState;

/// A GPU, or a part of one (a MIG instance), at one moment. A value is `None` if the driver does not report it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GpuDevice {
    /// `gpu/0`, with the number that the driver gave it when it was first seen. `gpu/0/mig/1` for a part of it. The name
    /// stays when the numbers change, as after another GPU was lost.
    pub name: Arc<str>,
    /// The UUID. The name, if the device never reported its UUID.
    pub id: Arc<str>,
    /// The model; empty if it is not known.
    pub model: Arc<str>,
    /// The UUID of the GPU of which this device is a part.
    pub parent: Option<Arc<str>>,
    /// The state.
    pub state: GpuState,
    /// The reason, if the state is not [`GpuState::Ok`].
    pub reason: Option<String>,
    /// The share of the time in which a program ran on it, in 0..=1. `None` for parts.
    pub utilization: Option<f64>,
    /// The share of the time in which its video encoder ran, in 0..=1.
    pub encoder_utilization: Option<f64>,
    /// The share of the time in which its video decoder ran, in 0..=1.
    pub decoder_utilization: Option<f64>,
    /// The memory.
    pub memory: Option<GpuMemory>,
    /// The temperature in degrees Celsius.
    pub temperature: Option<f64>,
    /// The temperature in degrees Celsius at which it slows down.
    pub slowdown_temperature: Option<f64>,
    /// The temperature in degrees Celsius at which it shuts down.
    pub shutdown_temperature: Option<f64>,
    /// The power in watts.
    pub power: Option<f64>,
    /// The limit of the power in watts.
    pub power_limit: Option<f64>,
    /// The energy in joules since the driver was loaded.
    pub energy: Option<f64>,
    /// The clocks.
    pub clocks: GpuClocks,
    /// The reasons why it is slowed down, such as `sw_power_cap`.
    pub slowed_by: Option<Vec<&'static str>>,
    /// Corrected memory errors since the driver was loaded.
    pub corrected_errors: Option<u64>,
    /// Uncorrected memory errors since the driver was loaded.
    pub uncorrected_errors: Option<u64>,
    /// Transfers over PCIe that were repeated.
    pub pcie_replays: Option<u64>,
}

/// The memory of a GPU in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GpuMemory {
    /// The size.
    pub limit: u64,
    /// Memory in use by programs.
    pub used: u64,
    /// Memory that the driver and the firmware reserve. It is not part of `used`.
    pub reserved: u64,
}

/// The clocks of a GPU in hertz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GpuClocks {
    /// The graphics clock.
    pub graphics: Option<u64>,
    /// The clock of the streaming multiprocessors.
    pub sm: Option<u64>,
    /// The memory clock.
    pub memory: Option<u64>,
    /// The clock of the video engines.
    pub video: Option<u64>,
}

/// The values that take the driver longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SlowDevice {
    pub(super) name: Arc<str>,
    pub(super) id: Arc<str>,
    /// The speed of each fan, as a share of its highest speed.
    pub(super) fans: Vec<Option<f64>>,
    /// Bytes per second over PCIe.
    pub(super) sent: Option<f64>,
    pub(super) received: Option<f64>,
    /// The number of NVLinks that are up, and that are down.
    pub(super) links: Option<[u32; 2]>,
    /// In the order of [`LINK_ERRORS`].
    pub(super) link_errors: [Option<u64>; LINK_ERRORS.len()],
    /// The bytes that this process uses.
    pub(super) process_memory: Option<u64>,
}

/// Kinds of errors on NVLinks, as values of `error.type`.
pub(super) const LINK_ERRORS: [&str; 4] =
    ["nvlink.crc_flit", "nvlink.crc_data", "nvlink.replay", "nvlink.recovery"];
