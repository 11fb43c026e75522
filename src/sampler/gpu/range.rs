//! The plausible ranges of values.
//!
//! For an unknown value, some drivers return the largest number of the field, and broken ones return anything. Implausible
//! values are not reported.

use super::device::GpuMemory;

/// In degrees Celsius. For a temperature below zero, the driver returns a number near 2³².
const HOTTEST: u32 = 150;
/// In milliwatts: 10 kW.
const MOST_MILLIWATTS: u32 = 10_000_000;
/// In megahertz.
const FASTEST: u32 = 20_000;
/// In bytes: a PiB.
const MOST_MEMORY: u64 = 1 << 50;
/// For errors and millijoules: 2⁵³ mJ are 285 years at a kilowatt.
const MOST_COUNTED: u64 = 1 << 53;
/// In kilobytes per second: a terabyte.
const MOST_THROUGHPUT: u32 = 1_000_000_000;
/// In percent. Fans may be faster than their nominal highest speed.
const FASTEST_FAN: u32 = 200;

/// A share, from a percentage of at most 100.
pub(super) fn share(percent: u32) -> Option<f64> {
    (percent <= 100).then(|| f64::from(percent) / 100.0)
}

/// The speed of a fan as a share, from a percentage.
pub(super) fn fan(percent: u32) -> Option<f64> {
    (percent <= FASTEST_FAN).then(|| f64::from(percent) / 100.0)
}

pub(super) fn temperature(degrees: u32) -> Option<f64> {
    (degrees <= HOTTEST).then(|| f64::from(degrees))
}

/// A limit of the temperature. Devices without one return zero.
pub(super) fn threshold(degrees: u32) -> Option<f64> {
    temperature(degrees).filter(|degrees| *degrees > 0.0)
}

/// In watts.
pub(super) fn power(milliwatts: u32) -> Option<f64> {
    (milliwatts <= MOST_MILLIWATTS).then(|| f64::from(milliwatts) / 1_000.0)
}

/// In joules.
#[allow(clippy::cast_precision_loss)] // Exact in this range.
pub(super) fn energy(millijoules: u64) -> Option<f64> {
    (millijoules <= MOST_COUNTED).then(|| millijoules as f64 / 1_000.0)
}

/// In hertz.
pub(super) fn clock(megahertz: u32) -> Option<u64> {
    (megahertz <= FASTEST).then(|| u64::from(megahertz) * 1_000_000)
}

/// A count of errors.
pub(super) fn errors(count: u64) -> Option<u64> {
    (count <= MOST_COUNTED).then_some(count)
}

/// A count of 32 bits.
pub(super) fn narrow(count: u32) -> Option<u64> {
    (count != u32::MAX).then(|| count.into())
}

/// In bytes.
pub(super) fn memory(limit: u64, used: u64, reserved: u64) -> Option<GpuMemory> {
    let fits = limit <= MOST_MEMORY && used <= limit && reserved <= limit;
    fits.then_some(GpuMemory { limit, used, reserved })
}

/// The memory of a process, in bytes.
pub(super) fn bytes(bytes: u64) -> Option<u64> {
    (bytes <= MOST_MEMORY).then_some(bytes)
}

/// In bytes per second.
pub(super) fn throughput(kilobytes: u32) -> Option<f64> {
    (kilobytes <= MOST_THROUGHPUT).then(|| f64::from(kilobytes) * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p41_implausible_values_are_not_reported() {
        assert_eq!((share(100), share(101), fan(120), fan(201)), (Some(1.0), None, Some(1.2), None));
        assert_eq!((temperature(0), temperature(u32::MAX - 3), threshold(0)), (Some(0.0), None, None));
        assert_eq!((power(1_500), power(u32::MAX)), (Some(1.5), None));
        assert_eq!((energy(1_500), energy(u64::MAX)), (Some(1.5), None));
        assert_eq!((clock(1_410), clock(u32::MAX)), (Some(1_410_000_000), None));
        assert_eq!(
            (errors(5), errors(u64::MAX), narrow(5), narrow(u32::MAX)),
            (Some(5), None, Some(5), None)
        );
        assert!(memory(100, 60, 40).is_some() && memory(0, 0, 0).is_some());
        assert!(
            [(100, 101, 0), (100, 1, 101), (u64::MAX, 0, 0)]
                .iter()
                .all(|(a, b, c)| memory(*a, *b, *c).is_none())
        );
        assert_eq!((bytes(7), bytes(u64::MAX)), (Some(7), None));
        assert_eq!((throughput(7), throughput(u32::MAX)), (Some(7_000.0), None));
    }
}
