//! The sources of the machine.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::disk::Disks;
#[cfg(not(target_os = "linux"))]
use super::elsewhere::Machine;
#[cfg(target_os = "linux")]
use super::filesystem::FileSystems;
#[cfg(target_os = "linux")]
use super::filters::NameFilter;
#[cfg(target_os = "linux")]
use super::machine::Machine;
#[cfg(target_os = "linux")]
use super::network::Networks;
use super::settings::SystemSettings;
#[cfg(target_os = "linux")]
use super::slow::{Clocks, Processes};
use crate::sampler::limits::Limits;
use crate::sampler::probe::{DEADLINE, Plan, Probe};

/// The shortest interval of the sources that cost more than the others.
#[cfg(target_os = "linux")]
const SLOW: Duration = Duration::from_secs(60);

#[cfg(target_os = "linux")]
pub(in crate::sampler) fn plans(settings: &SystemSettings, every: Duration, limits: &Limits) -> Vec<Plan> {
    fn plan<P>(name: &'static str, every: Duration, make: impl Fn(&Path) -> P + Send + Sync + 'static) -> Plan
    where
        P: Probe + 'static,
    {
        let make = Arc::new(move || -> Box<dyn Probe> { Box::new(make(Path::new("/"))) });
        Plan { name: name.into(), make, every, deadline: DEADLINE }
    }
    let by_core = settings.by_core;
    let limits = limits.clone();
    let (disks, interfaces) = (NameFilter::new(&settings.disks), NameFilter::new(&settings.interfaces));
    let mount_points = NameFilter::new(&settings.file_systems);
    let types = NameFilter::new(&settings.file_system_types);
    vec![
        plan("system", every, move |root| Machine::below(root, by_core, limits.clone())),
        plan("disk", every, move |root| Disks::below(root, disks.clone())),
        plan("network", every, move |root| Networks::below(root, interfaces.clone())),
        plan("filesystem", every, move |root| FileSystems::below(root, mount_points.clone(), types.clone())),
        plan("processes", every.max(SLOW), Processes::below),
        plan("processors", every.max(SLOW), move |root| Clocks::below(root, by_core)),
    ]
}

#[cfg(not(target_os = "linux"))]
pub(in crate::sampler) fn plans(_settings: &SystemSettings, every: Duration, limits: &Limits) -> Vec<Plan> {
    let limits = limits.clone();
    let make = Arc::new(move || -> Box<dyn Probe> { Box::new(Machine::new(limits.clone())) });
    vec![Plan { name: "system".into(), make, every, deadline: DEADLINE }]
}
