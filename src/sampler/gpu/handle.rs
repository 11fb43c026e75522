//! The handle of one device.

use nvml_wrapper::{Device, EventSet};

use super::support::Support;

/// The handle of a device.
pub(super) struct Handle<'n> {
    pub(super) device: Device<'n>,
    pub(super) support: Support,
    /// Read once, because they do not change.
    pub(super) limits: Option<Limits>,
    pub(super) events: Option<EventSet<'n>>,
}

/// The temperatures in degrees Celsius at which a device slows down and shuts down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) slowdown: Option<f64>,
    pub(super) shutdown: Option<f64>,
}
