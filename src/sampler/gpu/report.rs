//! Makes metrics, and figures with limits, of the readings of the GPUs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::device::{GpuDevice, LINK_ERRORS, SlowDevice};
use super::driver::FastReading;
use super::fast::THROTTLES;
use super::history::History;
use super::state::GpuState;
use crate::base::clock::Tick;
use crate::sampler::counter::{Counter, Rules};
use crate::sampler::probe::{Figure, Labels, Sample, count};
use crate::signal::capacity::GPUS;
use crate::signal::{
    GPU_CLOCK, GPU_IO, GPU_MEMORY_LIMIT, GPU_MEMORY_USAGE, GPU_MEMORY_UTILIZATION, GPU_NVLINKS,
    GPU_PCIE_REPLAYS, GPU_POWER_LIMIT, GPU_PROCESS_MEMORY, GPU_THROTTLED, GPU_UTILIZATION, GPU_XID,
    HW_ENERGY, HW_ERRORS, HW_FAN_SPEED, HW_POWER, HW_STATUS, HW_TEMPERATURE, HW_TEMPERATURE_LIMIT, Watched,
};

/// The maximum number of devices whose history is kept. Parts get a new UUID each time they are made.
const MOST_DEVICES: usize = GPUS;
/// The maximum power of a device, in watts.
const MOST_POWER: f64 = 10_000.0;
/// A temperature that is this close to the slowdown temperature, in degrees Celsius, is a warning.
const WARN_BELOW_SLOWDOWN: f64 = 10.0;

type Attribute<'a> = (&'static str, &'a str);

/// Makes a sample of each fast reading.
#[derive(Debug, Default)]
pub(super) struct FastReport {
    devices: HashMap<Arc<str>, Device>,
}

#[derive(Debug)]
struct Device {
    history: History,
    labels: FastLabels,
}

/// The labels of a device, made once.
#[derive(Debug)]
struct FastLabels {
    whole: Labels,
    sized: Labels,
    typed: Labels,
    tasks: [Labels; 3],
    states: [Labels; GpuState::ALL.len()],
    errors: [Labels; 3],
    sensor: Labels,
    sensor_limits: [Labels; 2],
    clocks: [Labels; 4],
    throttles: [Labels; THROTTLES.len()],
    xids: Vec<(u64, Labels)>,
}

// ===== impl FastReport =====

impl FastReport {
    /// Adds the values of a reading to the sample.
    pub(super) fn sample(&mut self, reading: FastReading, now: Tick, sample: &mut Sample) {
        for (id, xid) in &reading.xids {
            let device = reading.devices.iter().find(|device| device.id == *id);
            if let Some(device) = device {
                self.of(device).history.xid(&device.name, *xid, now);
            }
        }
        for mut device in reading.devices {
            self.of(&device).sample(&mut device, now, sample);
        }
    }

    fn of(&mut self, device: &GpuDevice) -> &mut Device {
        of(&mut self.devices, &device.id, || Device {
            history: History::default(),
            labels: FastLabels::of(device),
        })
    }
}

/// The entry of the device `id`, made by `new` if there is none.
fn of<'d, D>(devices: &'d mut HashMap<Arc<str>, D>, id: &Arc<str>, new: impl FnOnce() -> D) -> &'d mut D {
    if devices.len() >= MOST_DEVICES && !devices.contains_key(id) {
        devices.clear();
    }
    devices.entry(Arc::clone(id)).or_insert_with(new)
}

impl Device {
    fn sample(&mut self, device: &mut GpuDevice, now: Tick, sample: &mut Sample) {
        let Self { history, labels } = self;
        let shares = [device.utilization, device.encoder_utilization, device.decoder_utilization];
        for (share, labels) in shares.into_iter().zip(&labels.tasks) {
            sample.with(&GPU_UTILIZATION, share, labels);
        }
        if let Some(memory) = device.memory {
            sample.with(&GPU_MEMORY_USAGE, count(memory.used), &labels.whole);
            sample.with(&GPU_MEMORY_LIMIT, count(memory.limit), &labels.sized);
            if memory.limit > 0 {
                let share = count(memory.used) / count(memory.limit);
                sample.with(&GPU_MEMORY_UTILIZATION, share, &labels.whole);
            }
        }
        sample.with(&HW_TEMPERATURE, device.temperature, &labels.sensor);
        let limits = [device.slowdown_temperature, device.shutdown_temperature];
        for (limit, labels) in limits.into_iter().zip(&labels.sensor_limits) {
            sample.with(&HW_TEMPERATURE_LIMIT, limit, labels);
        }
        sample.with(&HW_POWER, device.power, &labels.typed);
        sample.with(&GPU_POWER_LIMIT, device.power_limit, &labels.whole);
        let clocks = device.clocks;
        for (hertz, labels) in
            [clocks.graphics, clocks.memory, clocks.sm, clocks.video].into_iter().zip(&labels.clocks)
        {
            sample.with(&GPU_CLOCK, hertz.map(count), labels);
        }
        if let Some(slowed_by) = &device.slowed_by {
            for ((_, reason), labels) in THROTTLES.iter().zip(&labels.throttles) {
                let active = slowed_by.contains(reason);
                sample.with(&GPU_THROTTLED, f64::from(u8::from(active)), labels);
            }
        }

        let mut restarted = false;
        let mut total = |counter: &mut Counter, value: Option<f64>, rules| {
            let total = counter.take(value?, now, rules);
            restarted |= counter.restarted;
            total
        };
        let (by_energy, by_errors) = (&Rules::OF_DRIVER.at_most(MOST_POWER), &Rules::OF_DRIVER);
        let energy = total(&mut history.energy, device.energy, by_energy);
        let corrected = total(&mut history.corrected, device.corrected_errors.map(count), by_errors);
        let uncorrected = total(&mut history.uncorrected, device.uncorrected_errors.map(count), by_errors);
        let replays = total(&mut history.replays, device.pcie_replays.map(count), by_errors);
        sample.with(&HW_ENERGY, energy, &labels.typed);
        sample.with(&HW_ERRORS, corrected, &labels.errors[0]);
        sample.with(&HW_ERRORS, uncorrected, &labels.errors[1]);
        sample.with(&GPU_PCIE_REPLAYS, replays, &labels.whole);
        let mut all = 0;
        for known in &history.xids {
            all += known.count;
            sample.with(&GPU_XID, count(known.count), labels.xid(device, known.xid));
        }
        if all > 0 {
            sample.with(&HW_ERRORS, count(all), &labels.errors[2]);
        }

        history.update_state(device, restarted, now);
        for (state, labels) in GpuState::ALL.into_iter().zip(&labels.states) {
            sample.with(&HW_STATUS, f64::from(u8::from(state == device.state)), labels);
        }
        watch(device, sample);
    }
}

/// Adds the figures for the health of the device.
fn watch(device: &GpuDevice, sample: &mut Sample) {
    let mut watch = |watched, value, own| {
        let component = Cow::Owned(device.name.as_ref().to_owned());
        sample.figures.push(Figure { component, watched, which: None, value, own });
    };
    if let Some(value) = device.temperature {
        let own = device.slowdown_temperature.map(|limit| (limit - WARN_BELOW_SLOWDOWN, limit));
        watch(Watched::Temperature, value, own);
    }
    watch(Watched::State, device.state.figure(), None);
}

impl FastLabels {
    fn of(device: &GpuDevice) -> Self {
        let (id, name) = (("hw.id", &*device.id), ("hw.name", &*device.name));
        let parent = device.parent.as_deref().map(|parent| ("hw.parent", parent));
        let gpu = ("hw.type", "gpu");
        let sensor = ("hw.sensor_location", "gpu");
        Self {
            whole: labels(&[id, name], parent),
            sized: labels(&[id, ("hw.model", &device.model), name], parent),
            typed: labels(&[id, name, gpu], None),
            tasks: ["general", "encoder", "decoder"]
                .map(|task| labels(&[("hw.gpu.task", task), id, name], parent)),
            states: GpuState::ALL.map(|state| {
                let state = ("hw.state", state.as_str());
                labels(&[id, name], parent.into_iter().chain([state, gpu]))
            }),
            errors: ["corrected", "uncorrected", "xid"]
                .map(|kind| labels(&[("error.type", kind), id, name, gpu], None)),
            sensor: labels(&[id, name, sensor], None),
            sensor_limits: ["high.degraded", "high.critical"]
                .map(|limit| labels(&[id, ("hw.limit_type", limit), name, sensor], None)),
            clocks: ["graphics", "memory", "sm", "video"]
                .map(|clock| labels(&[("clock", clock), id, name], None)),
            throttles: THROTTLES.map(|(_, reason)| labels(&[id, name, ("reason", reason)], None)),
            xids: Vec::new(),
        }
    }

    fn xid(&mut self, device: &GpuDevice, xid: u64) -> &Labels {
        let place = self.xids.iter().position(|(known, _)| *known == xid).unwrap_or_else(|| {
            let number = xid.to_string();
            let made = labels(&[("hw.id", &*device.id), ("hw.name", &*device.name), ("xid", &number)], None);
            self.xids.push((xid, made));
            self.xids.len() - 1
        });
        &self.xids[place].1
    }
}

fn labels<'a>(first: &[Attribute<'a>], more: impl IntoIterator<Item = Attribute<'a>>) -> Labels {
    Labels::new(first.iter().copied().chain(more))
}

// ===== the slow tier =====

/// Makes a sample of each slow reading.
#[derive(Debug, Default)]
pub(super) struct SlowReport {
    devices: HashMap<Arc<str>, Slow>,
}

#[derive(Debug)]
struct Slow {
    whole: Labels,
    directions: [Labels; 2],
    links: [Labels; 2],
    link_errors: [Labels; LINK_ERRORS.len()],
    fans: Vec<Labels>,
    errors: [Counter; LINK_ERRORS.len()],
    /// The bytes received and sent.
    bytes: [f64; 2],
    /// The last time that bytes were added.
    added: Option<Tick>,
}

impl SlowReport {
    pub(super) fn sample(
        &mut self,
        devices: &[SlowDevice],
        now: Tick,
        longest: Duration,
        sample: &mut Sample,
    ) {
        for device in devices {
            let slow = of(&mut self.devices, &device.id, || Slow::of(device));
            slow.sample(device, now, longest, sample);
        }
    }
}

impl Slow {
    fn of(device: &SlowDevice) -> Self {
        let (id, name) = (("hw.id", &*device.id), ("hw.name", &*device.name));
        Self {
            whole: labels(&[id, name], None),
            directions: ["receive", "transmit"]
                .map(|direction| labels(&[id, name, ("network.io.direction", direction)], None)),
            links: ["up", "down"].map(|state| labels(&[id, name, ("state", state)], None)),
            link_errors: LINK_ERRORS
                .map(|kind| labels(&[("error.type", kind), id, name, ("hw.type", "gpu")], None)),
            fans: Vec::new(),
            errors: [Counter::default(); LINK_ERRORS.len()],
            bytes: [0.0; 2],
            added: None,
        }
    }

    fn sample(&mut self, device: &SlowDevice, now: Tick, longest: Duration, sample: &mut Sample) {
        // The rate was measured for 20 ms. It is taken for the whole time since the last reading, unless one is missing.
        let since = self.added.map(|added| now.since(added)).filter(|since| *since <= longest);
        self.added = Some(now);
        let seconds = since.map_or(0.0, |since| since.as_secs_f64());
        for ((rate, bytes), labels) in
            [device.received, device.sent].into_iter().zip(&mut self.bytes).zip(&self.directions)
        {
            if let Some(rate) = rate {
                *bytes += rate * seconds;
                sample.with(&GPU_IO, bytes.round(), labels);
            }
        }
        for (number, share) in device.fans.iter().enumerate() {
            if self.fans.len() == number {
                let (id, name) =
                    (format!("{}/fan/{number}", device.id), format!("{}/fan/{number}", device.name));
                self.fans
                    .push(labels(&[("hw.id", &*id), ("hw.name", &*name), ("hw.parent", &*device.id)], None));
            }
            sample.with(&HW_FAN_SPEED, *share, &self.fans[number]);
        }
        for (links, labels) in device.links.into_iter().flatten().zip(&self.links) {
            sample.with(&GPU_NVLINKS, f64::from(links), labels);
        }
        for ((value, counter), labels) in
            device.link_errors.iter().zip(&mut self.errors).zip(&self.link_errors)
        {
            let errors = value.and_then(|value| counter.take(count(value), now, &Rules::OF_DRIVER));
            sample.with(&HW_ERRORS, errors, labels);
        }
        sample.with(&GPU_PROCESS_MEMORY, device.process_memory.map(count), &self.whole);
    }
}
