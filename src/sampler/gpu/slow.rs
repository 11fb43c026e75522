//! The values of a device that take longer.
//!
//! The driver measures the throughput over PCIe during the call, for 20 ms per direction. Fans are read over a slow bus. A
//! GPU has up to 18 NVLinks, with a call for each. For the memory of this process, the driver walks through all processes
//! and blocks other callers.

use nvml_wrapper::enum_wrappers::device::PcieUtilCounter;
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;

use super::device::SlowDevice;
use super::handle::Handle;
use super::range;
use super::support::{Call, DeviceFault, Round};
use crate::signal::capacity::FANS;

/// More fans and links than any GPU has. A driver that reports more is broken.
const MOST_FANS: u32 = FANS as u32;
const MOST_LINKS: u32 = 64;

/// In the order of [`LINK_ERRORS`](super::device::LINK_ERRORS).
const LINK_ERROR_FIELDS: [FieldId; 4] = [
    FieldId(field_id::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
    FieldId(field_id::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
    FieldId(field_id::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL),
    FieldId(field_id::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
];

/// Reads all values once. Of a part of a GPU, only those that a part has.
pub(super) fn read(
    handle: &mut Handle<'_>,
    processes: bool,
    whole: bool,
    to: &mut SlowDevice,
) -> DeviceFault {
    let device = &handle.device;
    let mut round = Round::new(&mut handle.support);
    if whole {
        let sent = round.ask(Call::Sent, || device.pcie_throughput(PcieUtilCounter::Send));
        let received = round.ask(Call::Received, || device.pcie_throughput(PcieUtilCounter::Receive));
        (to.sent, to.received) = (sent.and_then(range::throughput), received.and_then(range::throughput));

        let fans = round.ask(Call::Fans, || device.num_fans()).unwrap_or(0);
        for fan in 0..fans.min(MOST_FANS) {
            let Some(percent) = round.ask(Call::FanSpeed, || device.fan_speed(fan)) else { break };
            to.fans.push(range::fan(percent));
        }

        let (mut up, mut down) = (0, 0);
        for link in 0..MOST_LINKS {
            // The number after the last link is invalid. That is not an error.
            let active = round.ask(Call::Links, || match device.link_wrapper_for(link).is_active() {
                Err(NvmlError::InvalidArg) => Ok(None),
                Err(NvmlError::NotSupported) if link > 0 => Ok(None),
                active => active.map(Some),
            });
            match active.flatten() {
                Some(true) => up += 1,
                Some(false) => down += 1,
                None => break,
            }
        }
        if up + down > 0 {
            to.links = Some([up, down]);
            let values = round.ask(Call::LinkErrors, || device.field_values_for(&LINK_ERROR_FIELDS));
            for (place, value) in to.link_errors.iter_mut().zip(values.unwrap_or_default()) {
                *place = value
                    .ok()
                    .and_then(|sample| sample.value.ok())
                    .and_then(whole_number)
                    .and_then(range::errors);
            }
        }
    }
    if processes && let Some(found) = round.ask(Call::Processes, || device.running_compute_processes()) {
        // None if the driver sees other process ids than this process does, as in some containers.
        let own = found.iter().filter(|process| process.pid == std::process::id());
        let used = own.filter_map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => range::bytes(bytes),
            UsedGpuMemory::Unavailable => None,
        });
        to.process_memory = used.reduce(u64::saturating_add);
    }
    round.end()
}

fn whole_number(value: SampleValue) -> Option<u64> {
    match value {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(_) => None,
    }
}
