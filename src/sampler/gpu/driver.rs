//! The open library of the driver, and its devices.

use std::sync::Arc;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};

use super::device::{GpuDevice, SlowDevice};
use super::handle::Handle;
use super::names::{Identity, Known};
use super::state::GpuState;
use super::support::{Call, Round, Support, device_fault};
use super::{fast, slow};
use crate::signal::capacity::GPUS;

/// Parts (MIG instances) are looked for at every n-th reading, because the driver does not report when they change.
const COUNT_PARTS_EVERY: u32 = 6;
/// The maximum number of GPUs, and of parts of a GPU. A driver that reports more is broken.
const MOST_GPUS: u32 = GPUS as u32;
/// The maximum number of events that are taken at one reading.
const EVENTS_AT_ONCE: usize = 32;
/// The number for an Xid that the driver does not name.
const UNNAMED_XID: u64 = 999;
/// The value in the header of the library.
const MIG_ENABLED: u32 = 1;

/// The values of one reading.
#[derive(Clone, Debug, Default)]
pub(super) struct FastReading {
    pub(super) driver: Arc<str>,
    pub(super) devices: Vec<GpuDevice>,
    /// The Xids since the previous reading, with the ids of their devices.
    pub(super) xids: Vec<(Arc<str>, u64)>,
}

/// The open library.
pub(super) struct Driver<'n> {
    nvml: &'n Nvml,
    version: Arc<str>,
    gpus: Vec<Gpu<'n>>,
    readings: u32,
}

/// A GPU or a part of one.
pub(super) struct Gpu<'n> {
    index: u32,
    pub(super) identity: Identity,
    handle: Result<Handle<'n>, String>,
    /// Whether this process may not use it, as in a container with other GPUs. Then it is not reported.
    hidden: bool,
    parts: Vec<Gpu<'n>>,
}

// ===== impl Driver =====

impl<'n> Driver<'n> {
    pub(super) fn new(nvml: &'n Nvml) -> Self {
        let version = nvml.sys_driver_version().unwrap_or_default().into();
        Self { nvml, version, gpus: Vec::new(), readings: 0 }
    }

    /// Whether a GPU stopped working.
    pub(super) fn has_broken(&self) -> bool {
        self.gpus.iter().any(|gpu| gpu.handle.is_err() && !gpu.hidden)
    }

    /// Reads the values that take microseconds. `with_xids` also takes the Xids, which are read only once.
    ///
    /// # Errors
    /// If the library must be opened again.
    pub(super) fn fast(&mut self, known: &mut Known, with_xids: bool) -> Result<FastReading, String> {
        self.find(known)?;
        self.readings = self.readings.wrapping_add(1);
        let mut reading = FastReading { driver: Arc::clone(&self.version), ..FastReading::default() };
        for gpu in &mut self.gpus {
            if with_xids {
                gpu.xids(&mut reading.xids)?;
            }
            gpu.fast(&mut reading.devices)?;
        }
        Ok(reading)
    }

    /// Reads the values that take longer.
    ///
    /// # Errors
    /// If the library must be opened again.
    pub(super) fn slow(&mut self, processes: bool) -> Result<Vec<SlowDevice>, String> {
        let mut devices = Vec::new();
        for gpu in &mut self.gpus {
            gpu.slow(processes, &mut devices)?;
        }
        Ok(devices)
    }

    /// Finds new devices, devices that work again, and parts.
    fn find(&mut self, known: &mut Known) -> Result<(), String> {
        let count = match self.nvml.device_count() {
            Ok(count) => count.min(MOST_GPUS),
            Err(error) => {
                // The error is that of one device, although the call was about all. Each device is asked below.
                device_fault(&error)?;
                u32::try_from(self.gpus.len()).unwrap_or(MOST_GPUS)
            }
        };
        let all_there = u32::try_from(self.gpus.len()).is_ok_and(|known| known == count);
        if !all_there {
            self.gpus.clear();
        }
        for index in 0..count {
            let place = self.gpus.iter().position(|gpu| gpu.index == index);
            match place.and_then(|place| self.gpus.get_mut(place)) {
                Some(gpu) if gpu.handle.is_ok() || gpu.hidden => {}
                Some(gpu) => *gpu = Gpu::find(self.nvml, index, known)?,
                None => self.gpus.push(Gpu::find(self.nvml, index, known)?),
            }
        }
        self.name_silent(known);
        if self.readings.is_multiple_of(COUNT_PARTS_EVERY) {
            for gpu in &mut self.gpus {
                gpu.find_parts()?;
            }
        }
        Ok(())
    }

    /// Names the cards that do not answer, once it is known which cards do.
    fn name_silent(&mut self, known: &Known) {
        if !self.has_broken() {
            return;
        }
        let answers = self.gpus.iter().filter(|gpu| gpu.handle.is_ok());
        let mut named: Vec<Arc<str>> = answers.map(|gpu| Arc::clone(&gpu.identity.id)).collect();
        for gpu in self.gpus.iter_mut().filter(|gpu| gpu.handle.is_err() && !gpu.hidden) {
            gpu.identity = known.silent(gpu.index, |card| named.contains(&card.id));
            named.push(Arc::clone(&gpu.identity.id));
        }
    }
}

// ===== impl Gpu =====

impl<'n> Gpu<'n> {
    fn find(nvml: &'n Nvml, index: u32, known: &mut Known) -> Result<Self, String> {
        let handle = nvml.device_by_index(index).and_then(|device| Ok((device.uuid()?, device)));
        let hidden = matches!(handle, Err(NvmlError::NoPermission));
        let (id, device) = match handle {
            Ok(found) => found,
            Err(error) => {
                let why = device_fault(&error)?;
                let why = why.unwrap_or_else(|| format!("the GPU does not answer: {error}"));
                // Named once all devices have been asked.
                let identity = Identity::default();
                return Ok(Self { index, identity, handle: Err(why), hidden, parts: Vec::new() });
            }
        };
        let identity = known.card(index, &id, &device.name().unwrap_or_default());
        let events = listen(nvml, &device);
        let handle = Handle { device, support: Support::default(), limits: None, events };
        let mut gpu = Self { index, identity, handle: Ok(handle), hidden, parts: Vec::new() };
        gpu.find_parts()?;
        Ok(gpu)
    }

    /// Finds the MIG instances of a GPU.
    fn find_parts(&mut self) -> Result<(), String> {
        let Ok(handle) = &mut self.handle else { return Ok(()) };
        let device = &handle.device;
        let mut round = Round::new(&mut handle.support);
        let divided =
            round.ask(Call::Mig, || device.mig_mode()).is_some_and(|mode| mode.current == MIG_ENABLED);
        let count = if divided { round.ask(Call::Mig, || device.mig_device_count()).unwrap_or(0) } else { 0 };
        let count = count.min(MOST_GPUS);
        round.end()?;
        let mut parts = Vec::new();
        for index in 0..count {
            let found = device.mig_device_by_index(index).and_then(|part| Ok((part.uuid()?, part)));
            match found {
                // Not every number has a part.
                Err(error) => _ = device_fault(&error)?,
                Ok((id, part)) => match self.parts.iter().position(|known| *known.identity.id == *id) {
                    Some(place) if self.parts[place].handle.is_ok() => {
                        parts.push(self.parts.swap_remove(place))
                    }
                    _ => parts.push(Self::part(&self.identity, index, id, part)),
                },
            }
        }
        self.parts = parts;
        Ok(())
    }

    fn part(whole: &Identity, index: u32, id: String, device: Device<'n>) -> Self {
        let identity = Identity {
            name: format!("{}/mig/{index}", whole.name).into(),
            id: id.into(),
            model: device.name().map_or_else(|_| Arc::clone(&whole.model), Arc::from),
            parent: Some(Arc::clone(&whole.id)),
        };
        // The whole GPU reports the Xids.
        let handle = Handle { device, support: Support::default(), limits: None, events: None };
        Self { index, identity, handle: Ok(handle), hidden: false, parts: Vec::new() }
    }

    fn fast(&mut self, devices: &mut Vec<GpuDevice>) -> Result<(), String> {
        if self.hidden {
            return Ok(());
        }
        let Identity { name, id, model, parent } = self.identity.clone();
        let mut device = GpuDevice { name, id, model, parent, ..GpuDevice::default() };
        if let Ok(handle) = &mut self.handle
            && let Some(why) = fast::read(handle, &mut device)?
        {
            self.handle = Err(why);
        }
        if let Err(why) = &self.handle {
            (device.state, device.reason) = (GpuState::Failed, Some(why.clone()));
            // Its parts cannot be read. They are looked for when it works again.
            self.parts.clear();
        }
        devices.push(device);
        // A part that does not answer was usually removed. It is looked for again later.
        let mut gone = false;
        for part in &mut self.parts {
            part.fast(devices)?;
            if part.handle.is_err() {
                devices.pop();
                gone = true;
            }
        }
        if gone {
            self.parts.retain(|part| part.handle.is_ok());
        }
        Ok(())
    }

    fn slow(&mut self, processes: bool, devices: &mut Vec<SlowDevice>) -> Result<(), String> {
        // The fast reading reports broken devices.
        let Ok(handle) = &mut self.handle else { return Ok(()) };
        let (name, id) = (Arc::clone(&self.identity.name), Arc::clone(&self.identity.id));
        let mut device = SlowDevice { name, id, ..SlowDevice::default() };
        if slow::read(handle, processes, self.identity.parent.is_none(), &mut device)?.is_some() {
            return Ok(());
        }
        devices.push(device);
        for part in &mut self.parts {
            part.slow(processes, devices)?;
        }
        Ok(())
    }

    /// Takes the waiting Xids. Each device has its own event set, because a lost device cannot be identified by an event.
    fn xids(&mut self, xids: &mut Vec<(Arc<str>, u64)>) -> Result<(), String> {
        let Ok(Handle { events: Some(events), support, .. }) = &mut self.handle else { return Ok(()) };
        for _ in 0..EVENTS_AT_ONCE {
            let mut round = Round::new(support);
            let event = round.ask(Call::Events, || match events.wait(0) {
                Err(NvmlError::Timeout) => Ok(None),
                event => event.map(Some),
            });
            // The calls that follow find out whether the device is broken.
            let broken = round.end()?.is_some();
            let Some(Some(event)) = event.filter(|_| !broken) else { break };
            match event.event_data {
                Some(XidError::Value(xid)) => xids.push((Arc::clone(&self.identity.id), xid)),
                Some(XidError::Unknown) => xids.push((Arc::clone(&self.identity.id), UNNAMED_XID)),
                None => {}
            }
        }
        Ok(())
    }
}

/// Makes the driver queue the Xids of the device, if it supports that.
fn listen<'n>(nvml: &'n Nvml, device: &Device<'n>) -> Option<EventSet<'n>> {
    let events = nvml.create_event_set().ok()?;
    device.register_events(EventTypes::CRITICAL_XID_ERROR, events).ok()
}
