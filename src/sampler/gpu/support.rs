//! Which calls a device supports, and what their errors mean.

use nvml_wrapper::error::NvmlError;

/// A call that some devices do not support.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Utilization,
    Encoder,
    Decoder,
    Memory,
    Temperature,
    Slowdown,
    Shutdown,
    Power,
    PowerLimit,
    Energy,
    GraphicsClock,
    SmClock,
    MemoryClock,
    VideoClock,
    Throttle,
    Corrected,
    Uncorrected,
    Replays,
    Events,
    Mig,
    Sent,
    Received,
    Fans,
    FanSpeed,
    Links,
    LinkErrors,
    Processes,
}

/// The calls that a device does not support. They are not made again with the same handle, because an error costs as much
/// time as an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Support {
    missing: u32,
}

/// The reason why a device does not work, if it does not. An error if the library must be opened again, because the driver
/// was unloaded.
pub(super) type DeviceFault = Result<Option<String>, String>;

/// One round of calls to one device.
#[derive(Debug)]
pub(super) struct Round<'a> {
    support: &'a mut Support,
    fault: Option<NvmlError>,
    answers: u32,
    error: Option<NvmlError>,
}

impl<'a> Round<'a> {
    pub(super) fn new(support: &'a mut Support) -> Self {
        Self { support, fault: None, answers: 0, error: None }
    }

    /// Makes a call and returns its answer. Makes no call that the device does not support, or if the device is broken.
    pub(super) fn ask<T>(&mut self, call: Call, ask: impl FnOnce() -> Result<T, NvmlError>) -> Option<T> {
        let bit = 1 << call as u32;
        if self.support.missing & bit != 0 || self.fault.is_some() {
            return None;
        }
        match ask() {
            Ok(answer) => {
                self.answers += 1;
                return Some(answer);
            }
            // An older library does not have every function, and some calls need privileges.
            Err(
                NvmlError::NotSupported
                | NvmlError::NoPermission
                | NvmlError::FailedToLoadSymbol(_)
                | NvmlError::FunctionNotFound
                | NvmlError::VgpuEccNotSupported,
            ) => self.support.missing |= bit,
            Err(error) if device_fault(&error) != Ok(None) => self.fault = Some(error),
            Err(error) => self.error = Some(error),
        }
        None
    }

    /// Ends the round. A device is broken if all calls failed; an error of some calls only loses their values.
    pub(super) fn end(self) -> DeviceFault {
        if let Some(error) = self.fault {
            return device_fault(&error);
        }
        let silent = self.error.filter(|_| self.answers == 0);
        Ok(silent.map(|error| format!("the GPU does not answer: {error}")))
    }
}

/// What an error says about the device or the driver, beyond the failed call.
pub(super) fn device_fault(error: &NvmlError) -> DeviceFault {
    match error {
        NvmlError::GpuLost => Ok(Some("the GPU is lost".to_owned())),
        NvmlError::ResetRequired => Ok(Some("the GPU must be reset".to_owned())),
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch => {
            Err(error.to_string())
        }
        _ => Ok(None),
    }
}
