//! The values of a device that take microseconds.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold,
};

use super::device::GpuDevice;
use super::handle::{Handle, Limits};
use super::range;
use super::state::GpuState;
use super::support::{Call, DeviceFault, Round};

/// The reasons that slow a GPU down, by their names in the library. An idle GPU is not slowed down.
pub(super) const THROTTLES: [(ThrottleReasons, &str); 8] = [
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications_clocks_setting"),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clock_setting"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
    (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
    (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
    (ThrottleReasons::SYNC_BOOST, "sync_boost"),
];

/// The reasons that no setting causes: heat, or a board that protects itself.
const UNWANTED: ThrottleReasons = ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN
    .union(ThrottleReasons::HW_SLOWDOWN)
    .union(ThrottleReasons::HW_THERMAL_SLOWDOWN)
    .union(ThrottleReasons::SW_THERMAL_SLOWDOWN);

/// Reads all values once.
pub(super) fn read(handle: &mut Handle<'_>, to: &mut GpuDevice) -> DeviceFault {
    let device = &handle.device;
    let mut round = Round::new(&mut handle.support);

    if let Some(busy) = round.ask(Call::Utilization, || device.utilization_rates()) {
        to.utilization = range::share(busy.gpu);
    }
    let encoder = round.ask(Call::Encoder, || device.encoder_utilization());
    to.encoder_utilization = encoder.and_then(|busy| range::share(busy.utilization));
    let decoder = round.ask(Call::Decoder, || device.decoder_utilization());
    to.decoder_utilization = decoder.and_then(|busy| range::share(busy.utilization));

    // The wrapper supports only the second version of this call, which drivers have since R510.
    if let Some(memory) = round.ask(Call::Memory, || device.memory_info()) {
        to.memory = range::memory(memory.total, memory.used, memory.reserved);
    }

    let temperature = round.ask(Call::Temperature, || device.temperature(TemperatureSensor::Gpu));
    to.temperature = temperature.and_then(range::temperature);
    let limits = *handle.limits.get_or_insert_with(|| limits(&mut round, device));
    (to.slowdown_temperature, to.shutdown_temperature) = (limits.slowdown, limits.shutdown);

    to.power = round.ask(Call::Power, || device.power_usage()).and_then(range::power);
    to.power_limit = round.ask(Call::PowerLimit, || device.enforced_power_limit()).and_then(range::power);
    to.energy = round.ask(Call::Energy, || device.total_energy_consumption()).and_then(range::energy);

    let mut clock = |call, clock| round.ask(call, || device.clock_info(clock)).and_then(range::clock);
    to.clocks.graphics = clock(Call::GraphicsClock, Clock::Graphics);
    to.clocks.sm = clock(Call::SmClock, Clock::SM);
    to.clocks.memory = clock(Call::MemoryClock, Clock::Memory);
    to.clocks.video = clock(Call::VideoClock, Clock::Video);

    if let Some(reasons) = round.ask(Call::Throttle, || device.current_throttle_reasons()) {
        let active = THROTTLES.iter().filter(|(reason, _)| reasons.contains(*reason));
        to.slowed_by = Some(active.map(|(_, name)| *name).collect());
        if reasons.intersects(UNWANTED) {
            to.state = GpuState::Degraded;
            let unwanted =
                THROTTLES.iter().find(|(reason, _)| reasons.intersection(UNWANTED).contains(*reason));
            to.reason = unwanted.map(|(_, name)| format!("the GPU is slowed down: {name}"));
        }
    }

    // Counts since the driver was loaded, like the energy. The lifetime counts of a device are late, and stay after a reset
    // that cleared the errors.
    let errors = |kind| device.total_ecc_errors(kind, EccCounter::Volatile);
    let corrected = round.ask(Call::Corrected, || errors(MemoryError::Corrected));
    let uncorrected = round.ask(Call::Uncorrected, || errors(MemoryError::Uncorrected));
    (to.corrected_errors, to.uncorrected_errors) =
        (corrected.and_then(range::errors), uncorrected.and_then(range::errors));
    to.pcie_replays = round.ask(Call::Replays, || device.pcie_replay_counter()).and_then(range::narrow);
    round.end()
}

fn limits(round: &mut Round<'_>, device: &Device<'_>) -> Limits {
    let slowdown = || device.temperature_threshold(TemperatureThreshold::Slowdown);
    let shutdown = || device.temperature_threshold(TemperatureThreshold::Shutdown);
    Limits {
        slowdown: round.ask(Call::Slowdown, slowdown).and_then(range::threshold),
        shutdown: round.ask(Call::Shutdown, shutdown).and_then(range::threshold),
    }
}
