//! The handle of one device.

use nvml_wrapper::{Device, EventSet};

use super::support::Support;

/// What a device is asked by.
pub(super) struct Handle<'n> {
    pub(super) device: Device<'n>,
    pub(super) support: Support,
    /// Asked for once, since nothing changes them.
    pub(super) limits: Option<Limits>,
    pub(super) events: Option<EventSet<'n>>,
}

/// Temperatures in degrees Celsius from which a device slows down, and stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) slowdown: Option<f64>,
    pub(super) shutdown: Option<f64>,
}
