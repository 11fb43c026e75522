//! The source.

use std::time::Duration;

use super::cpu::{Cpu, Found};
use super::group::Groups;
use super::memory::Memory;
use super::place::Places;
use super::total::Total;
use crate::sampler::files::{Files, kib};
use crate::sampler::limits::Limits;
use crate::sampler::pressure::{PressureLabels, Waited};
use crate::sampler::probe::{Probe, ProbeError, Sample};

/// Reads the control groups of this process; remembers where they are and what counters and rates need.
pub(super) struct Container {
    groups: Groups,
    limits: Limits,
    /// What `/proc/self/cgroup` said when the places were found.
    cgroup: String,
    places: Places,
    /// The places are to be looked for: at first, and when nothing could be read there.
    lost: bool,
    /// Memory of the machine.
    machine: Option<u64>,
    cpu: Cpu,
    memory: Memory,
    pressures: [Resource; 4],
}

/// What one file of pressure needs.
struct Resource {
    file: &'static str,
    labels: PressureLabels,
    some: Total,
    full: Total,
}

impl Container {
    pub(super) fn new(files: Files, limits: Limits) -> Self {
        let resource = |resource, file| Resource {
            file,
            labels: PressureLabels::new("container", resource),
            some: Total::default(),
            full: Total::default(),
        };
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

    /// Finds the places anew when the process was moved, or what was there is gone.
    fn find(&mut self) {
        let files = &mut self.groups.files;
        // A kernel without control groups has no such file.
        let cgroup = files.read("proc/self/cgroup").unwrap_or_default();
        if cgroup == self.cgroup && !self.lost {
            return;
        }
        self.cgroup = cgroup.into_owned();
        let mountinfo = files.read("proc/self/mountinfo").unwrap_or_default().into_owned();
        let places = Places::find(&self.cgroup, &mountinfo, |name| files.path(name).exists());
        if places != self.places {
            self.cpu.elsewhere();
            self.memory.elsewhere();
            for resource in &mut self.pressures {
                resource.some.elsewhere();
                resource.full.elsewhere();
            }
            self.places = places;
        }
        self.machine = self.groups.files.read("proc/meminfo").ok().and_then(|text| kib(&text, "MemTotal:"));
    }
}

impl Probe for Container {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.find();
        let cpu = self.cpu.sample(&self.places, &mut self.groups, sample);
        let memory = match &self.places.memory {
            Some(place) => self.memory.sample(place, self.machine, &mut self.groups, sample),
            None => Found::default(),
        };
        if let Some(group) = self.places.unified.as_ref().and_then(|place| place.groups.first()) {
            for resource in &mut self.pressures {
                resource.sample(group, &mut self.groups, sample);
            }
        }
        self.limits.set(cpu.in_force, memory.in_force);
        self.lost = self.places != Places::default() && !cpu.any && !memory.any;
        Ok(())
    }
}

impl Resource {
    fn sample(&mut self, group: &str, groups: &mut Groups, sample: &mut Sample) {
        // Not with every kernel, and one that was told to leave it refuses.
        let Some(mut pressure) = groups.pressure(group, self.file) else { return };
        let go_on = |waited: &mut Option<Waited>, total: &mut Total| {
            if let Some(waited) = waited {
                waited.total = Duration::from_secs_f64(total.next(waited.total.as_secs_f64()));
            }
        };
        go_on(&mut pressure.some, &mut self.some);
        go_on(&mut pressure.full, &mut self.full);
        pressure.emit(sample, &self.labels);
    }
}
