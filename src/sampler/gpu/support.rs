//! Which calls a device answers, and what their errors mean.

use nvml_wrapper::error::NvmlError;

/// A call that some devices do not answer.
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

/// What a device said it does not support: it is not asked for that again as long as its handle is good.
///
/// A GPU does not grow an encoder, and each refusal costs as much as an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Support {
    missing: u32,
}

/// Why a device works no more, while the others may; an error when the library has to be opened anew: the driver was
/// taken away under it.
pub(super) type Judged = Result<Option<String>, String>;

/// One round of questions to one device.
#[derive(Debug)]
pub(super) struct Round<'a> {
    support: &'a mut Support,
    trouble: Option<NvmlError>,
    answers: u32,
    error: Option<NvmlError>,
}

impl<'a> Round<'a> {
    pub(super) fn new(support: &'a mut Support) -> Self {
        Self { support, trouble: None, answers: 0, error: None }
    }

    /// What the device answers; nothing where it does not, or where asking is no use any more.
    pub(super) fn ask<T>(&mut self, call: Call, ask: impl FnOnce() -> Result<T, NvmlError>) -> Option<T> {
        let bit = 1 << call as u32;
        if self.support.missing & bit != 0 || self.trouble.is_some() {
            return None;
        }
        match ask() {
            Ok(answer) => {
                self.answers += 1;
                return Some(answer);
            }
            // An older library does not have every function, and not everybody may ask for everything.
            Err(
                NvmlError::NotSupported
                | NvmlError::NoPermission
                | NvmlError::FailedToLoadSymbol(_)
                | NvmlError::FunctionNotFound
                | NvmlError::VgpuEccNotSupported,
            ) => self.support.missing |= bit,
            Err(error) if trouble(&error) != Ok(None) => self.trouble = Some(error),
            Err(error) => self.error = Some(error),
        }
        None
    }

    /// What came out of it for the device as a whole.
    ///
    /// Errors of single calls lose those values only; a device of which every call ends with an error is broken.
    pub(super) fn end(self) -> Judged {
        if let Some(error) = self.trouble {
            return trouble(&error);
        }
        let silent = self.error.filter(|_| self.answers == 0);
        Ok(silent.map(|error| format!("it does not answer: {error}")))
    }
}

/// What an error says about more than the call that it answers.
pub(super) fn trouble(error: &NvmlError) -> Judged {
    match error {
        NvmlError::GpuLost => Ok(Some("it is lost".to_owned())),
        NvmlError::ResetRequired => Ok(Some("it must be reset".to_owned())),
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch => {
            Err(error.to_string())
        }
        _ => Ok(None),
    }
}
