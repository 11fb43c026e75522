//! What one reading gives of a device.

use std::sync::Arc;

use serde::Serialize;

use super::state::GpuState;

/// A GPU, or a part of one (a MIG instance), at one moment. What it does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GpuDevice {
    /// `gpu/0` by the number that the driver gave it when it was first seen, and `gpu/0/mig/1` for a part of it. It keeps
    /// its name when the numbers move, as after another one was lost.
    pub name: Arc<str>,
    /// Its UUID; the name, where the device was never well enough to tell.
    pub id: Arc<str>,
    /// What the maker calls it; empty where it does not tell.
    pub model: Arc<str>,
    /// The UUID of the GPU that this one is a part of.
    pub parent: Option<Arc<str>>,
    /// How it is.
    pub state: GpuState,
    /// Why it is not well.
    pub reason: Option<String>,
    /// Share of the time that something ran on it, in 0..=1; not of parts.
    pub utilization: Option<f64>,
    /// Share of the time that its video encoder ran, in 0..=1.
    pub encoder_utilization: Option<f64>,
    /// Share of the time that its video decoder ran, in 0..=1.
    pub decoder_utilization: Option<f64>,
    /// Its memory.
    pub memory: Option<GpuMemory>,
    /// In degrees Celsius.
    pub temperature: Option<f64>,
    /// In degrees Celsius: from here on it slows itself down.
    pub slowdown_temperature: Option<f64>,
    /// In degrees Celsius: here it stops.
    pub shutdown_temperature: Option<f64>,
    /// In watts.
    pub power: Option<f64>,
    /// In watts: what it may take.
    pub power_limit: Option<f64>,
    /// In joules, since the driver was loaded.
    pub energy: Option<f64>,
    /// Its clocks.
    pub clocks: GpuClocks,
    /// What slows it down, such as `sw_power_cap`; empty when nothing does.
    pub slowed_by: Option<Vec<&'static str>>,
    /// Errors of its memory that were corrected, since the driver was loaded.
    pub corrected_errors: Option<u64>,
    /// Errors of its memory that were not corrected, since the driver was loaded.
    pub uncorrected_errors: Option<u64>,
    /// Transfers over PCIe that had to be repeated.
    pub pcie_replays: Option<u64>,
}

/// The memory of a GPU in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GpuMemory {
    /// All of it.
    pub limit: u64,
    /// In use by programs.
    pub used: u64,
    /// Kept by driver and firmware, and not among what is used.
    pub reserved: u64,
}

/// The clocks of a GPU in hertz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GpuClocks {
    /// Of what draws.
    pub graphics: Option<u64>,
    /// Of what computes.
    pub sm: Option<u64>,
    /// Of the memory.
    pub memory: Option<u64>,
    /// Of the video engines.
    pub video: Option<u64>,
}

/// What takes the driver longer to tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SlowDevice {
    pub(super) name: Arc<str>,
    pub(super) id: Arc<str>,
    /// Shares of their highest speed, from 0 on.
    pub(super) fans: Vec<Option<f64>>,
    /// Bytes per second over PCIe.
    pub(super) sent: Option<f64>,
    pub(super) received: Option<f64>,
    /// NVLinks that are up, and that are down.
    pub(super) links: Option<[u32; 2]>,
    /// In the order of [`LINK_ERRORS`].
    pub(super) link_errors: [Option<u64>; LINK_ERRORS.len()],
    /// Bytes that this process uses.
    pub(super) process_memory: Option<u64>,
}

/// Kinds of errors on NVLinks, as values of `error.type`.
pub(super) const LINK_ERRORS: [&str; 4] =
    ["nvlink.crc_flit", "nvlink.crc_data", "nvlink.replay", "nvlink.recovery"];
