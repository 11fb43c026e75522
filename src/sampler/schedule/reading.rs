//! One reading of one source, which may panic or hang.

use std::time::Duration;

use crate::base::clock::{self, Tick};
use crate::base::panics::catch;
use crate::sampler::probe::{Make, Probe, ProbeError, Sample};

/// A reading to make. It owns the probe, so that a thread that hangs holds nothing else.
pub(super) struct Job {
    pub(super) source: usize,
    pub(super) make: Make,
    pub(super) probe: Option<Box<dyn Probe>>,
    /// An empty sample, with the allocations of an earlier one.
    pub(super) sample: Sample,
    pub(super) started: Tick,
}

/// A finished reading.
pub(super) struct Done {
    pub(super) source: usize,
    /// `None` after a panic, because its state may be inconsistent.
    pub(super) probe: Option<Box<dyn Probe>>,
    pub(super) result: Result<Sample, ProbeError>,
    pub(super) started: Tick,
    pub(super) took: Duration,
}

impl Job {
    /// Reads the source. Makes its probe first if there is none.
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
                let message = panic.message().unwrap_or("no message");
                let error = ProbeError(format!("the probe panicked: {message}").into());
                Done { source, probe: None, result: Err(error), started, took }
            }
        }
    }
}
