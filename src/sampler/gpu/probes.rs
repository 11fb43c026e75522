//! The two sources: what the driver tells at once, and what takes it time.

use std::sync::Arc;
use std::time::Duration;

use super::device::SlowDevice;
use super::driver::FastReading;
use super::report::{FastReport, SlowReport};
use super::session::{Answer, Asker, Line, Question};
use super::settings::GpuSettings;
use crate::base::clock;
use crate::sampler::probe::{DEADLINE, Plan, Probe, ProbeError, Sample};

/// Where there is no driver, it is looked for again after this many readings at the latest.
const LONGEST_ABSENCE: u32 = 32;

/// The sources of the GPUs.
pub(in crate::sampler) fn plans(settings: &GpuSettings, every: Duration) -> Vec<Plan> {
    let every = settings.every.unwrap_or(every);
    let slow_every = settings.slow_every.max(every);
    let line = Line::new(settings.library.as_deref());
    let slow_line = Arc::clone(&line);
    let processes = settings.processes;
    vec![
        Plan {
            name: "gpu".into(),
            make: Arc::new(move || Box::new(Fast::new(Arc::clone(&line), every))),
            every,
            deadline: DEADLINE,
        },
        Plan {
            name: "gpu.slow".into(),
            make: Arc::new(move || Box::new(Slow::new(Arc::clone(&slow_line), slow_every, processes))),
            every: slow_every,
            deadline: DEADLINE,
        },
    ]
}

/// How long an answer is waited for: shorter than the sampler waits for the source, so that it is the driver that
/// is given up, and not the thread that asked it.
fn patience(every: Duration) -> Duration {
    every.clamp(Duration::from_secs(1), DEADLINE * 4 / 5)
}

struct Fast {
    asker: Asker<FastReading>,
    report: FastReport,
    /// Whether there was a driver.
    was_there: bool,
    /// How many readings in a row found none, and how many more do not look.
    absences: u32,
    pause: u32,
}

impl Fast {
    fn new(line: Arc<Line>, every: Duration) -> Self {
        let asker = Asker::new(line, patience(every));
        Self { asker, report: FastReport::default(), was_there: false, absences: 0, pause: 0 }
    }

    /// Nothing to be warned of: most machines have no GPU.
    fn absent(&mut self, why: &str) {
        if self.absences == 0 {
            tracing::debug!(why, "no driver of NVIDIA GPUs here; it is looked for again ever more rarely");
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
        match self.asker.ask(true, |to| Question::Fast { with_xids: true, to }) {
            Some(Answer::Read(reading)) => {
                if self.absences > 0 {
                    tracing::info!(driver = &*reading.driver, "a driver of NVIDIA GPUs is here now");
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
    asker: Asker<Vec<SlowDevice>>,
    report: SlowReport,
    processes: bool,
    every: Duration,
}

impl Slow {
    fn new(line: Arc<Line>, every: Duration, processes: bool) -> Self {
        let asker = Asker::new(line, patience(every));
        Self { asker, report: SlowReport::default(), processes, every }
    }
}

impl Probe for Slow {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let processes = self.processes;
        match self.asker.ask(false, |to| Question::Slow { processes, to }) {
            Some(Answer::Read(devices)) => {
                self.report.sample(&devices, clock::now(), self.every * 2, sample);
                Ok(())
            }
            Some(Answer::Silent(why)) => Err(ProbeError(why.into())),
            // The other source is the one that starts the driver, and tells when that fails.
            Some(Answer::Absent(_) | Answer::Failed(_) | Answer::Starting) | None => Ok(()),
        }
    }
}
