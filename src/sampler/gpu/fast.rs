//! What a device tells within microseconds.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold,
};

use super::GpuState;
use super::device::{GpuDevice, GpuMemory};
use super::driver::{Handle, Limits};
use super::support::{Call, Judged, Round};

/// What slows a GPU down, by the names of the library; an idle one is not slowed down.
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

/// Those that no setting asks for: by heat, or by a board that protects itself.
const UNWANTED: ThrottleReasons = ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN
    .union(ThrottleReasons::HW_SLOWDOWN)
    .union(ThrottleReasons::HW_THERMAL_SLOWDOWN)
    .union(ThrottleReasons::SW_THERMAL_SLOWDOWN);

/// Asks for everything once.
pub(super) fn read(handle: &mut Handle<'_>, to: &mut GpuDevice) -> Judged {
    let device = &handle.device;
    let mut round = Round::new(&mut handle.support);

    if let Some(busy) = round.ask(Call::Utilization, || device.utilization_rates()) {
        to.utilization = share(busy.gpu);
    }
    let encoder = round.ask(Call::Encoder, || device.encoder_utilization());
    to.encoder_utilization = encoder.and_then(|busy| share(busy.utilization));
    let decoder = round.ask(Call::Decoder, || device.decoder_utilization());
    to.decoder_utilization = decoder.and_then(|busy| share(busy.utilization));

    // The wrapper knows the second version of this call alone, which drivers have since R510.
    if let Some(memory) = round.ask(Call::Memory, || device.memory_info()) {
        to.memory = Some(GpuMemory { limit: memory.total, used: memory.used, reserved: memory.reserved });
    }

    let temperature = round.ask(Call::Temperature, || device.temperature(TemperatureSensor::Gpu));
    to.temperature = temperature.map(f64::from);
    let limits = *handle.limits.get_or_insert_with(|| limits(&mut round, device));
    (to.slowdown_temperature, to.shutdown_temperature) = (limits.slowdown, limits.shutdown);

    to.power = round.ask(Call::Power, || device.power_usage()).map(thousandths);
    to.power_limit = round.ask(Call::PowerLimit, || device.enforced_power_limit()).map(thousandths);
    #[allow(clippy::cast_precision_loss)] // Exact for 285 years at a kilowatt.
    let joules = |millijoules: u64| millijoules as f64 / 1_000.0;
    to.energy = round.ask(Call::Energy, || device.total_energy_consumption()).map(joules);

    let hertz = |megahertz: u32| u64::from(megahertz) * 1_000_000;
    to.clocks.graphics = round.ask(Call::GraphicsClock, || device.clock_info(Clock::Graphics)).map(hertz);
    to.clocks.sm = round.ask(Call::SmClock, || device.clock_info(Clock::SM)).map(hertz);
    to.clocks.memory = round.ask(Call::MemoryClock, || device.clock_info(Clock::Memory)).map(hertz);
    to.clocks.video = round.ask(Call::VideoClock, || device.clock_info(Clock::Video)).map(hertz);

    if let Some(reasons) = round.ask(Call::Throttle, || device.current_throttle_reasons()) {
        let in_force = THROTTLES.iter().filter(|(reason, _)| reasons.contains(*reason));
        to.slowed_by = Some(in_force.map(|(_, name)| *name).collect());
        if reasons.intersects(UNWANTED) {
            to.state = GpuState::Degraded;
            let unwanted =
                THROTTLES.iter().find(|(reason, _)| reasons.intersection(UNWANTED).contains(*reason));
            to.reason = unwanted.map(|(_, name)| format!("it is slowed down: {name}"));
        }
    }

    // Since the driver was loaded, as energy is: the counts of a device's whole life come late, and survive a
    // reset that cleared what they count.
    let errors = |kind| device.total_ecc_errors(kind, EccCounter::Volatile);
    to.corrected_errors = round.ask(Call::Corrected, || errors(MemoryError::Corrected));
    to.uncorrected_errors = round.ask(Call::Uncorrected, || errors(MemoryError::Uncorrected));
    to.pcie_replays = round.ask(Call::Replays, || device.pcie_replay_counter()).map(u64::from);
    round.end()
}

fn limits(round: &mut Round<'_>, device: &Device<'_>) -> Limits {
    let slowdown = || device.temperature_threshold(TemperatureThreshold::Slowdown);
    let shutdown = || device.temperature_threshold(TemperatureThreshold::Shutdown);
    Limits {
        slowdown: round.ask(Call::Slowdown, slowdown).filter(is_set).map(f64::from),
        shutdown: round.ask(Call::Shutdown, shutdown).filter(is_set).map(f64::from),
    }
}

/// Devices without a limit give nought for it.
#[allow(clippy::trivially_copy_pass_by_ref)] // The signature that `filter` calls.
fn is_set(degrees: &u32) -> bool {
    *degrees > 0
}

/// Of percent; more than all of it is no share.
fn share(percent: u32) -> Option<f64> {
    (percent <= 100).then(|| f64::from(percent) / 100.0)
}

fn thousandths(value: u32) -> f64 {
    f64::from(value) / 1_000.0
}
