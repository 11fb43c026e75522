//! This process, and no other: what it is called and how it was started is nobody's business.

use std::sync::Arc;
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::count;
use super::probe::{DEADLINE, Labels, Plan, Probe, ProbeError, Sample};
use crate::clock::{self, Tick};
use crate::signal::{
    PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL, PROCESS_UPTIME,
};

/// Processor time is counted in hundredths of a second; over less than this, a share of it is noise.
const SHORTEST: Duration = Duration::from_millis(200);

pub(super) fn plan(every: Duration) -> Plan {
    Plan { name: "process".into(), make: Arc::new(|| Box::new(Own::default())), every, deadline: DEADLINE }
}

/// Reads this process; remembers what its share of processor time needs.
#[derive(Default)]
pub(super) struct Own {
    system: Option<System>,
    before: Option<(Tick, Duration)>,
    share: Option<f64>,
}

/// This process at one moment.
pub(super) struct OwnReading {
    pub(super) cpu_time: Duration,
    pub(super) cpu_utilization: Option<f64>,
    pub(super) memory: u64,
    pub(super) memory_virtual: u64,
    pub(super) uptime: Duration,
}

impl Own {
    pub(super) fn read(&mut self) -> Result<OwnReading, ProbeError> {
        let system = match &mut self.system {
            Some(system) => system,
            empty => empty.insert(
                System::new().map_err(|error| ProbeError(format!("no process figures: {error}").into()))?,
            ),
        };
        let pid = Pid::from_u32(std::process::id());
        // By name: "everything" would read the command line and walk all threads.
        let figures = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, figures);
        let now = clock::now();
        let process = system.process(pid).ok_or(ProbeError("this process is not in the list".into()))?;
        let cpu_time = Duration::from_millis(process.accumulated_cpu_time());
        match self.before {
            Some((then, _)) if now.since(then) < SHORTEST => {}
            Some((then, cpu_then)) => {
                let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                let cpus = system.cpus().len().max(cpus);
                let possible = now.since(then).as_secs_f64() * count(cpus as u64);
                let share = cpu_time.saturating_sub(cpu_then).as_secs_f64() / possible;
                self.share = Some(share.clamp(0.0, 1.0));
                self.before = Some((now, cpu_time));
            }
            None => self.before = Some((now, cpu_time)),
        }
        Ok(OwnReading {
            cpu_time,
            cpu_utilization: self.share,
            memory: process.memory(),
            memory_virtual: process.virtual_memory(),
            uptime: Duration::from_secs(process.run_time()),
        })
    }
}

impl Probe for Own {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let own = self.read()?;
        let user = Labels::Fixed(&[("cpu.mode", "user")]);
        sample.with(&PROCESS_CPU_TIME, own.cpu_time.as_secs_f64(), &user);
        sample.value(&PROCESS_MEMORY_USAGE, count(own.memory));
        sample.value(&PROCESS_MEMORY_VIRTUAL, count(own.memory_virtual));
        sample.value(&PROCESS_UPTIME, own.uptime.as_secs_f64());
        if let Some(share) = own.cpu_utilization {
            sample.with(&PROCESS_CPU_UTILIZATION, share, &user);
        }
        Ok(())
    }
}
