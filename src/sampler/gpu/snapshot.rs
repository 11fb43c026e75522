//! The GPUs at one moment, read on demand.

use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;

use super::device::GpuDevice;
use super::driver::FastReading;
use super::session::{Answer, Client, Request, Session};
use crate::base::sync::Mutex;

/// How long to wait for an answer. To start the driver takes seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The GPUs at one moment. It needs neither a pipeline nor a sampler.
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
    /// The GPUs, each followed by its parts (MIG instances).
    pub devices: Vec<GpuDevice>,
    /// The reason, if no GPU could be read.
    pub absence: Option<String>,
    /// The memory of all GPUs, in bytes.
    pub memory_limit: u64,
    /// The memory in use on all GPUs, in bytes.
    pub memory_used: u64,
    /// The mean utilization of the GPUs that report it, in 0..=1.
    pub utilization: Option<f64>,
    /// The sum of the power of the GPUs that report it, in watts.
    pub power: Option<f64>,
    /// The highest temperature of a GPU, in degrees Celsius.
    pub hottest: Option<f64>,
}

/// An answer that did not come in time, and its session.
type Overdue = (Weak<Session>, Receiver<Answer<FastReading>>);

/// The overdue answers. Until an answer arrives, its session gets no other request.
static OVERDUE: Mutex<Vec<Overdue>> = Mutex::new(Vec::new());

impl GpuSnapshot {
    /// Reads all GPUs now.
    ///
    /// This call blocks. It takes a fraction of a millisecond for each device if a sampler or another program keeps the
    /// driver loaded, up to some seconds if the driver must be started, and ten seconds if the driver hangs. The state is
    /// the one that the device reports: only a sampler receives Xids.
    #[must_use]
    pub fn now() -> Self {
        Self::read(None)
    }

    /// As [`now`](Self::now), with this library of the driver instead of the one that the system finds.
    #[must_use]
    pub fn with_library(library: impl AsRef<Path>) -> Self {
        Self::read(Some(library.as_ref()))
    }

    fn read(library: Option<&Path>) -> Self {
        let session = Session::shared(library);
        {
            let mut overdue = OVERDUE.lock();
            overdue.retain(|(_, answers)| matches!(answers.try_recv(), Err(TryRecvError::Empty)));
            if overdue.iter().any(|(other, _)| other.as_ptr() == Arc::as_ptr(&session)) {
                return Self::absent("the driver has not answered an earlier request".to_owned());
            }
        }
        let mut client = Client::new(Arc::clone(&session), TIMEOUT);
        let answer = client.ask(true, |to| Request::Fast { with_xids: false, to });
        if let Some(answers) = client.into_overdue() {
            OVERDUE.lock().push((Arc::downgrade(&session), answers));
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
        // The whole includes its parts.
        let whole = || devices.iter().filter(|device| device.parent.is_none());
        let memory = || whole().filter_map(|device| device.memory);
        let busy: Vec<f64> = whole().filter_map(|device| device.utilization).collect();
        #[allow(clippy::cast_precision_loss)] // Few GPUs.
        let mean = (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64);
        Self {
            driver: Some(reading.driver),
            absence: devices.is_empty().then(|| "the driver reports no GPU".to_owned()),
            memory_limit: memory().map(|memory| memory.limit).sum(),
            memory_used: memory().map(|memory| memory.used).sum(),
            utilization: mean,
            power: whole().filter_map(|device| device.power).reduce(|sum, power| sum + power),
            hottest: whole().filter_map(|device| device.temperature).reduce(f64::max),
            devices,
        }
    }
}
