//! The number of repetitions of a test.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

/// `usually`, or `long` under `tests/run long`.
pub fn times(usually: u32, long: u32) -> u32 {
    if std::env::var_os("CAMPANILE_TEST_LONG").is_some() { long } else { usually }
}
