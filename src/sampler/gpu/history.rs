//! The counters, the Xids and the state of a device from earlier readings.

use std::time::Duration;

use super::device::GpuDevice;
use super::state::GpuState;
use super::state::of_xid;
use crate::base::clock::Tick;
use crate::sampler::counter::Counter;
use crate::signal::capacity::XIDS;

/// How long a device is degraded after a program failed on it.
const PROGRAM_FAULTS_COUNT: Duration = Duration::from_secs(300);
/// How often a repeated Xid is logged.
const LOG_AGAIN: Duration = Duration::from_secs(600);
/// The maximum number of distinct Xids; others are counted as Xid 0. There are fewer than 200.
const MOST_KINDS: usize = XIDS;

/// The history of one device.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) energy: Counter,
    pub(super) corrected: Counter,
    pub(super) uncorrected: Counter,
    pub(super) replays: Counter,
    pub(super) xids: Vec<XidCount>,
    /// The worst state of an Xid that only a reset clears, and its number.
    lasting: (GpuState, u64),
    /// The last Xid of a program, and its time.
    passing: Option<(Tick, u64)>,
    /// Whether the device could not be read at the last reading.
    was_broken: bool,
    state: GpuState,
}

/// How often an Xid occurred.
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
            let (count, state) = (known.count, state.as_str());
            tracing::warn!(gpu = name, xid, count, state, "the driver reported an Xid error of this GPU");
        }
        if state >= GpuState::PredictedFailure {
            self.lasting = self.lasting.max((state, xid));
        } else if state == GpuState::Degraded {
            self.passing = Some((now, xid));
        }
    }

    /// Makes the state of the device worse, if its Xids say so.
    ///
    /// A lasting Xid counts until the device `restarted`, which its counters show, or until it works again after it was
    /// lost.
    pub(super) fn update_state(&mut self, device: &mut GpuDevice, restarted: bool, now: Tick) {
        let broken = device.state == GpuState::Failed;
        if restarted || (self.was_broken && !broken) {
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
                tracing::warn!(gpu, state, reason, "a GPU reports a fault or does not work");
            }
            // At a low level, because heat comes and goes.
            _ if self.state >= GpuState::PredictedFailure => tracing::info!(gpu, state, "a GPU works again"),
            _ => tracing::debug!(gpu, state, reason, "the state of a GPU changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(
        history: &mut History,
        state: GpuState,
        restarted: bool,
        now: Tick,
    ) -> (GpuState, Option<String>) {
        let mut device = GpuDevice { state, ..GpuDevice::default() };
        history.update_state(&mut device, restarted, now);
        (device.state, device.reason)
    }

    #[test]
    fn an_xid_of_a_program_expires_and_one_of_the_device_stays_until_it_restarts() {
        let (mut history, start) = (History::default(), Tick(1_000_000_000_000));
        history.xid("gpu/0", 31, start);
        let (state, reason) = updated(&mut history, GpuState::Ok, false, start);
        assert_eq!((state, reason.as_deref()), (GpuState::Degraded, Some("the driver reported Xid 31")));
        let later = start + PROGRAM_FAULTS_COUNT;
        assert_eq!(updated(&mut history, GpuState::Ok, false, later), (GpuState::Ok, None));

        history.xid("gpu/0", 79, later);
        history.xid("gpu/0", 94, later);
        let (state, reason) = updated(&mut history, GpuState::Degraded, false, later + LOG_AGAIN * 100);
        assert_eq!((state, reason.as_deref()), (GpuState::Failed, Some("the driver reported Xid 79")));
        assert_eq!(updated(&mut history, GpuState::Ok, true, later), (GpuState::Ok, None));

        history.xid("gpu/0", 79, later);
        assert_eq!(updated(&mut history, GpuState::Failed, false, later), (GpuState::Failed, None));
        assert_eq!(updated(&mut history, GpuState::Ok, false, later), (GpuState::Ok, None));
    }

    #[test]
    fn the_number_of_different_xids_is_bounded() {
        let mut history = History::default();
        (0..1_000).for_each(|xid| history.xid("gpu/0", xid, Tick(1)));
        assert!(history.xids.len() <= MOST_KINDS + 1, "{}", history.xids.len());
        assert_eq!(history.xids.iter().map(|known| known.count).sum::<u64>(), 1_000);
    }
}
