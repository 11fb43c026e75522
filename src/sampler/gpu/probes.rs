//! The two sources: values that take microseconds, and values that take longer.

use std::sync::Arc;
use std::time::Duration;

use super::device::SlowDevice;
use super::driver::FastReading;
use super::report::{FastReport, SlowReport};
use super::session::{Answer, Client, Request, Session};
use super::settings::GpuSettings;
use crate::base::clock;
use crate::sampler::probe::{DEADLINE, Plan, Probe, ProbeError, Sample};

/// Without a driver, the most readings after which it is looked for again.
const LONGEST_ABSENCE: u32 = 32;

/// The sources of the GPUs.
pub(in crate::sampler) fn plans(settings: &GpuSettings, every: Duration) -> Vec<Plan> {
    let every = settings.every.unwrap_or(every);
    let slow_every = settings.slow_every.max(every);
    let session = Session::new(settings.library.as_deref());
    let slow_session = Arc::clone(&session);
    let processes = settings.processes;
    vec![
        Plan {
            name: "gpu".into(),
            make: Arc::new(move || Box::new(Fast::new(Arc::clone(&session), every))),
            every,
            deadline: DEADLINE,
        },
        Plan {
            name: "gpu.slow".into(),
            make: Arc::new(move || Box::new(Slow::new(Arc::clone(&slow_session), slow_every, processes))),
            every: slow_every,
            deadline: DEADLINE,
        },
    ]
}

/// How long an answer of the driver is waited for. Shorter than the deadline of the source, so that this thread gives up
/// the driver before the sampler gives up this thread.
fn timeout(every: Duration) -> Duration {
    every.clamp(Duration::from_secs(1), DEADLINE * 4 / 5)
}

struct Fast {
    client: Client<FastReading>,
    report: FastReport,
    /// Whether a driver was found before.
    was_there: bool,
    /// The number of consecutive readings without a driver.
    absences: u32,
    /// The number of readings that do not look for it.
    pause: u32,
}

impl Fast {
    fn new(session: Arc<Session>, every: Duration) -> Self {
        let client = Client::new(session, timeout(every));
        Self { client, report: FastReport::default(), was_there: false, absences: 0, pause: 0 }
    }

    /// Logs at the level of debug, because most machines have no GPU.
    fn absent(&mut self, why: &str) {
        if self.absences == 0 {
            tracing::debug!(
                why,
                "found no NVIDIA driver; the sampler looks for it again after growing pauses"
            );
        }
        self.absences = self.absences.saturating_add(1);
        self.pause = 1_u32.checked_shl(self.absences).unwrap_or(u32::MAX).min(LONGEST_ABSENCE) - 1;
    }
}

impl Probe for Fast {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(());
        }
        match self.client.ask(true, |to| Request::Fast { with_xids: true, to }) {
            Some(Answer::Read(reading)) => {
                if self.absences > 0 {
                    tracing::info!(driver = &*reading.driver, "found an NVIDIA driver");
                }
                (self.was_there, self.absences) = (true, 0);
                self.report.sample(reading, clock::now(), sample);
                Ok(())
            }
            Some(Answer::Absent(why)) if !self.was_there => {
                self.absent(&why);
                Ok(())
            }
            Some(Answer::Absent(why) | Answer::Failed(why) | Answer::Silent(why)) => {
                Err(ProbeError(why.into()))
            }
            Some(Answer::Starting) | None => Ok(()),
        }
    }
}

struct Slow {
    client: Client<Vec<SlowDevice>>,
    report: SlowReport,
    processes: bool,
    every: Duration,
}

impl Slow {
    fn new(session: Arc<Session>, every: Duration, processes: bool) -> Self {
        let client = Client::new(session, timeout(every));
        Self { client, report: SlowReport::default(), processes, every }
    }
}

impl Probe for Slow {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let processes = self.processes;
        match self.client.ask(false, |to| Request::Slow { processes, to }) {
            Some(Answer::Read(devices)) => {
                self.report.sample(&devices, clock::now(), self.every * 2, sample);
                Ok(())
            }
            Some(Answer::Silent(why)) => Err(ProbeError(why.into())),
            // The other source starts the driver, and reports if that fails.
            Some(Answer::Absent(_) | Answer::Failed(_) | Answer::Starting) | None => Ok(()),
        }
    }
}
