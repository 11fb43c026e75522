//! The faults of other libraries, each as a test that this one passes.
//!
//! The numbers are from a list of faults that `tower-resilience` 0.14 showed. If both libraries can run a scenario, a test
//! whose name begins with `peer_` runs it against the peer and asserts that the fault still exists. These tests are
//! ignored, because a build must not depend on faults of others: `cargo test --test peer_faults -- --ignored` runs them.
//! Our tests run on a paused clock. The peer reads the real clock, so its scenarios wait for some milliseconds.

mod control;
mod half_open;
mod outcomes;
mod retries;
mod subject;
mod windows;
