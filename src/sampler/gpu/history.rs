//! What has to be remembered of a device from reading to reading: counts that never fall, Xids, its state.

use std::time::Duration;

use super::device::GpuDevice;
use super::state::GpuState;
use super::state::of_xid;
use crate::base::clock::Tick;
use crate::sampler::counter::Counter;
use crate::signal::capacity::XIDS;

/// For so long a program that failed on a device speaks against it.
const PROGRAM_FAULTS_COUNT: Duration = Duration::from_secs(300);
/// An Xid that comes again and again is logged this often.
const LOG_AGAIN: Duration = Duration::from_secs(600);
/// There are fewer than 200 kinds; what is more is counted under 0.
const MOST_KINDS: usize = XIDS;

/// One device.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) energy: Counter,
    pub(super) corrected: Counter,
    pub(super) uncorrected: Counter,
    pub(super) replays: Counter,
    pub(super) xids: Vec<XidCount>,
    /// The worst that an Xid said which only a reset clears, and its number.
    lasting: (GpuState, u64),
    /// The last Xid of a program, and when.
    passing: Option<(Tick, u64)>,
    /// Whether it could not be read.
    was_broken: bool,
    state: GpuState,
}

/// How often an Xid came.
#[derive(Clone, Debug)]
pub(super) struct XidCount {
    pub(super) xid: u64,
    pub(super) count: u64,
    logged: Tick,
}

impl History {
    /// Counts an Xid of the device `name`.
    pub(super) fn xid(&mut self, name: &str, xid: u64, now: Tick) {
        let place = self.xids.iter().position(|known| known.xid == xid);
        let xid = if place.is_none() && self.xids.len() >= MOST_KINDS { 0 } else { xid };
        let place = self.xids.iter().position(|known| known.xid == xid).unwrap_or_else(|| {
            self.xids.push(XidCount { xid, count: 0, logged: Tick(0) });
            self.xids.len() - 1
        });
        let Some(known) = self.xids.get_mut(place) else { return };
        known.count += 1;
        let state = of_xid(xid);
        if known.count == 1 || now.since(known.logged) >= LOG_AGAIN {
            known.logged = now;
            let (count, says) = (known.count, state.as_str());
            tracing::warn!(gpu = name, xid, count, says, "the driver reports an error of a GPU");
        }
        if state >= GpuState::PredictedFailure {
            self.lasting = self.lasting.max((state, xid));
        } else if state == GpuState::Degraded {
            self.passing = Some((now, xid));
        }
    }

    /// Makes the state of what the device says itself and what is remembered of it.
    ///
    /// A lasting Xid stands until the device began `anew`: its counts went back, or it works again after it was
    /// lost.
    pub(super) fn settle(&mut self, device: &mut GpuDevice, anew: bool, now: Tick) {
        let broken = device.state == GpuState::Failed;
        if anew || (self.was_broken && !broken) {
            self.lasting = (GpuState::Ok, 0);
        }
        self.was_broken = broken;
        let passing = self.passing.filter(|(then, _)| now.since(*then) < PROGRAM_FAULTS_COUNT);
        let passing = passing.map(|(_, xid)| (GpuState::Degraded, xid));
        for (state, xid) in [Some(self.lasting), passing].into_iter().flatten() {
            if state > device.state {
                (device.state, device.reason) = (state, Some(format!("the driver reported Xid {xid}")));
            }
        }
        if device.state != self.state {
            self.log(device);
            self.state = device.state;
        }
    }

    fn log(&self, device: &GpuDevice) {
        let (gpu, state, reason) = (&*device.name, device.state.as_str(), device.reason.as_deref());
        match device.state {
            GpuState::PredictedFailure | GpuState::Failed => {
                tracing::warn!(gpu, state, reason, "a GPU does not work as it should");
            }
            // Heat comes and goes.
            _ if self.state >= GpuState::PredictedFailure => tracing::info!(gpu, state, "a GPU works again"),
            _ => tracing::debug!(gpu, state, reason, "the state of a GPU changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(history: &mut History, state: GpuState, anew: bool, now: Tick) -> (GpuState, Option<String>) {
        let mut device = GpuDevice { state, ..GpuDevice::default() };
        history.settle(&mut device, anew, now);
        (device.state, device.reason)
    }

    #[test]
    fn an_xid_of_a_program_passes_and_one_of_the_device_stays_until_it_begins_anew() {
        let (mut history, start) = (History::default(), Tick(1_000_000_000_000));
        history.xid("gpu/0", 31, start);
        let (state, reason) = settled(&mut history, GpuState::Ok, false, start);
        assert_eq!((state, reason.as_deref()), (GpuState::Degraded, Some("the driver reported Xid 31")));
        let later = start + PROGRAM_FAULTS_COUNT;
        assert_eq!(settled(&mut history, GpuState::Ok, false, later), (GpuState::Ok, None));

        history.xid("gpu/0", 79, later);
        history.xid("gpu/0", 94, later);
        let (state, reason) = settled(&mut history, GpuState::Degraded, false, later + LOG_AGAIN * 100);
        assert_eq!((state, reason.as_deref()), (GpuState::Failed, Some("the driver reported Xid 79")));
        assert_eq!(settled(&mut history, GpuState::Ok, true, later), (GpuState::Ok, None));

        history.xid("gpu/0", 79, later);
        assert_eq!(settled(&mut history, GpuState::Failed, false, later), (GpuState::Failed, None));
        assert_eq!(settled(&mut history, GpuState::Ok, false, later), (GpuState::Ok, None));
    }

    #[test]
    fn xids_of_a_driver_gone_mad_are_bounded() {
        let mut history = History::default();
        (0..1_000).for_each(|xid| history.xid("gpu/0", xid, Tick(1)));
        assert!(history.xids.len() <= MOST_KINDS + 1, "{}", history.xids.len());
        assert_eq!(history.xids.iter().map(|known| known.count).sum::<u64>(), 1_000);
    }
}
