//! How often a test repeats itself.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

/// `usually`, or `long` where `tests/run long` runs the tests.
pub fn times(usually: u32, long: u32) -> u32 {
    if std::env::var_os("CAMPANILE_TEST_LONG").is_some() { long } else { usually }
}
