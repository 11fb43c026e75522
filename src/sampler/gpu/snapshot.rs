//! The GPUs, asked for by hand.

use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;

use super::device::GpuDevice;
use super::driver::FastReading;
use super::session::{Answer, Asker, Line, Question};
use crate::base::sync::Mutex;

/// A driver that has to be started first takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The GPUs at one moment; needs neither pipeline nor sampler.
///
/// # Example
/// ```
/// use campanile::sampler::GpuSnapshot;
///
/// let snapshot = GpuSnapshot::now();
/// match &snapshot.absence {
///     None => println!("{} devices, {:?} W", snapshot.devices.len(), snapshot.power),
///     Some(why) => println!("no GPU: {why}"),
/// }
/// for device in &snapshot.devices {
///     println!("{} is {}: {:?} °C", device.name, device.state, device.temperature);
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GpuSnapshot {
    /// The version of the driver.
    pub driver: Option<Arc<str>>,
    /// Every GPU, each followed by its parts (MIG instances).
    pub devices: Vec<GpuDevice>,
    /// Why nothing could be read.
    pub absence: Option<String>,
    /// Memory of all GPUs together, in bytes.
    pub memory_limit: u64,
    /// What of it is in use, in bytes.
    pub memory_used: u64,
    /// Mean of the utilisation of the GPUs that tell it, in 0..=1.
    pub utilization: Option<f64>,
    /// Power that they take together, in watts, of those that tell it.
    pub power: Option<f64>,
    /// The highest of their temperatures, in degrees Celsius.
    pub hottest: Option<f64>,
}

/// An answer that did not come in time, and whom it is to come from.
type Overdue = (Weak<Line>, Receiver<Answer<FastReading>>);

/// Until these are here no other question goes there.
static OVERDUE: Mutex<Vec<Overdue>> = Mutex::new(Vec::new());

impl GpuSnapshot {
    /// Reads all GPUs now.
    ///
    /// Blocks: for a fraction of a millisecond for each device where a sampler or another program keeps the
    /// driver loaded, up to seconds where it has to be started, and ten seconds when it hangs. Xids are events,
    /// and reach the sampler alone; the state here is what a device says of itself.
    #[must_use]
    pub fn now() -> Self {
        Self::read(None)
    }

    /// The same by another library of the driver than the one that the system finds.
    #[must_use]
    pub fn with_library(library: impl AsRef<Path>) -> Self {
        Self::read(Some(library.as_ref()))
    }

    fn read(library: Option<&Path>) -> Self {
        let line = Line::shared(library);
        {
            let mut overdue = OVERDUE.lock();
            overdue.retain(|(_, answers)| matches!(answers.try_recv(), Err(TryRecvError::Empty)));
            if overdue.iter().any(|(other, _)| other.as_ptr() == Arc::as_ptr(&line)) {
                return Self::absent("the driver has not answered an earlier question yet".to_owned());
            }
        }
        let mut asker = Asker::new(Arc::clone(&line), PATIENCE);
        let answer = asker.ask(true, |to| Question::Fast { with_xids: false, to });
        if let Some(answers) = asker.into_overdue() {
            OVERDUE.lock().push((Arc::downgrade(&line), answers));
        }
        match answer {
            Some(Answer::Read(reading)) => Self::of(reading),
            Some(Answer::Absent(why) | Answer::Failed(why) | Answer::Silent(why)) => Self::absent(why),
            Some(Answer::Starting) | None => Self::absent("the driver is being started".to_owned()),
        }
    }

    fn absent(why: String) -> Self {
        Self { absence: Some(why), ..Self::default() }
    }

    fn of(reading: FastReading) -> Self {
        let devices = reading.devices;
        // The parts are in the whole already.
        let whole = || devices.iter().filter(|device| device.parent.is_none());
        let memory = || whole().filter_map(|device| device.memory);
        let busy: Vec<f64> = whole().filter_map(|device| device.utilization).collect();
        #[allow(clippy::cast_precision_loss)] // Few GPUs.
        let mean = (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64);
        Self {
            driver: Some(reading.driver),
            absence: devices.is_empty().then(|| "the driver has no GPU".to_owned()),
            memory_limit: memory().map(|memory| memory.limit).sum(),
            memory_used: memory().map(|memory| memory.used).sum(),
            utilization: mean,
            power: whole().filter_map(|device| device.power).reduce(|sum, power| sum + power),
            hottest: whole().filter_map(|device| device.temperature).reduce(f64::max),
            devices,
        }
    }
}
