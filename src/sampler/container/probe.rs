//! The source `container`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::cpu::{Cpu, Found};
use super::group::Groups;
use super::memory::Memory;
use super::place::Places;
use crate::base::clock;
use crate::sampler::files::{Files, kib};
use crate::sampler::limits::Limits;
use crate::sampler::pressure::Resource;
use crate::sampler::probe::{DEADLINE, Failures, Plan, Probe, ProbeError, Sample};

/// The source. It sets `limits` at each reading.
pub(in crate::sampler) fn plan(every: Duration, limits: &Limits) -> Plan {
    let limits = limits.clone();
    let make = Arc::new(move || Box::new(Container::new(Files::default(), limits.clone())) as _);
    Plan { name: "container".into(), make, every, deadline: DEADLINE }
}

/// Reads the control groups of this process. Keeps their places, counters and rates between readings.
pub(super) struct Container {
    groups: Groups,
    limits: Limits,
    /// The content of `/proc/self/cgroup` when the places were found.
    cgroup: String,
    places: Places,
    /// Whether the places must be found again: at first, and when nothing could be read there.
    lost: bool,
    /// The memory of the machine.
    machine: Option<u64>,
    cpu: Cpu,
    memory: Memory,
    pressures: [(&'static str, Resource); 4],
}

impl Container {
    pub(super) fn new(files: Files, limits: Limits) -> Self {
        let resource = |resource, file| (file, Resource::new("container", resource));
        Self {
            groups: Groups { files },
            limits,
            cgroup: String::new(),
            places: Places::default(),
            lost: true,
            machine: None,
            cpu: Cpu::default(),
            memory: Memory::default(),
            pressures: [
                resource("cpu", "cpu.pressure"),
                resource("memory", "memory.pressure"),
                resource("io", "io.pressure"),
                resource("irq", "irq.pressure"),
            ],
        }
    }

    /// Finds the places again if the process was moved, or if nothing could be read.
    fn find(&mut self, failures: &mut Failures) {
        let files = &mut self.groups.files;
        let cgroup = match files.read("proc/self/cgroup") {
            Ok(cgroup) => cgroup,
            // A kernel without control groups has no such file.
            Err(unread) if unread.is_absent() => Cow::Borrowed(""),
            // The known places are kept.
            Err(unread) => return failures.add("/proc/self/cgroup", unread),
        };
        if cgroup == self.cgroup && !self.lost {
            return;
        }
        self.cgroup = cgroup.into_owned();
        let mountinfo = files.read("proc/self/mountinfo").unwrap_or_default().into_owned();
        let places = Places::find(&self.cgroup, &mountinfo, |name| files.path(name).exists());
        if places != self.places {
            self.cpu.replace();
            self.memory.replace();
            self.pressures.iter_mut().for_each(|(_, resource)| resource.replace());
            files.close();
            self.places = places;
        }
        self.machine = self.groups.files.read("proc/meminfo").ok().and_then(|text| kib(&text, "MemTotal:"));
    }
}

impl Probe for Container {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.find(&mut sample.failures);
        let cpu = self.cpu.sample(&self.places, &mut self.groups, sample);
        let memory = match &self.places.memory {
            Some(place) => self.memory.sample(place, self.machine, &mut self.groups, sample),
            None => Found::default(),
        };
        if let Some(group) = self.places.unified.as_ref().and_then(|place| place.groups.first()) {
            for (file, resource) in &mut self.pressures {
                // Not every kernel has it, and it may be turned off.
                if let Some(pressure) = self.groups.pressure(group, file) {
                    resource.emit(&pressure, clock::now(), sample);
                }
            }
        }
        self.limits.set(cpu.is_limited, memory.is_limited);
        self.lost = self.places != Places::default() && !cpu.any && !memory.any;
        Ok(())
    }
}
