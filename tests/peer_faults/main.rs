//! The faults of other libraries, each as a test that this one passes.
//!
//! The numbers are those of a list that was made by running `tower-resilience` 0.14. Where its fault shows in
//! a scenario that both can run, a test whose name begins with `peer_` runs the same scenario against it and
//! asserts that the fault is there, so that nobody is accused of what was mended. Those are ignored, as a build
//! must not depend on the faults of others: `cargo test --test peer_faults -- --ignored` runs them. Ours run
//! on a paused clock; the peer's circuit reads the real one, so that its scenarios wait for some milliseconds.

mod control;
mod half_open;
mod outcomes;
mod retries;
mod subject;
mod windows;
