//! One reading of one source, whatever it does.

use std::time::Duration;

use crate::base::clock::{self, Tick};
use crate::base::panics::catch;
use crate::sampler::probe::{Make, Probe, ProbeError, Sample};

/// A reading to make. The probe travels, so that a reader that hangs takes nothing else with it.
pub(super) struct Job {
    pub(super) source: usize,
    pub(super) make: Make,
    pub(super) probe: Option<Box<dyn Probe>>,
    /// Empty, with the room of an earlier one.
    pub(super) sample: Sample,
    pub(super) started: Tick,
}

/// A reading that came to an end.
pub(super) struct Done {
    pub(super) source: usize,
    /// `None` after a panic: what it left behind may be broken.
    pub(super) probe: Option<Box<dyn Probe>>,
    pub(super) result: Result<Sample, ProbeError>,
    pub(super) started: Tick,
    pub(super) took: Duration,
}

impl Job {
    /// Reads the source, and makes its probe first where there is none.
    pub(super) fn read(self) -> Done {
        let Self { source, make, probe, mut sample, started } = self;
        let outcome = catch(move || {
            let mut probe = probe.unwrap_or_else(|| make());
            let result = probe.sample(&mut sample).map(|()| sample);
            (probe, result)
        });
        let took = clock::now().since(started);
        match outcome {
            Ok((probe, result)) => Done { source, probe: Some(probe), result, started, took },
            Err(panic) => {
                let said = panic.said().unwrap_or("without a message");
                let error = ProbeError(format!("it panicked: {said}").into());
                Done { source, probe: None, result: Err(error), started, took }
            }
        }
    }
}
