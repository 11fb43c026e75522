//! The GPU sampler with a fake driver library, loaded by path through the real wrapper.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_types)] // A poisoned lock fails the test.

#[path = "../support/fake_gpus.rs"]
mod fake_gpus;
mod faults;
// Only for `cargo fmt`. The tests build this file themselves.
#[cfg(any())]
#[path = "../support/fake_nvml.rs"]
mod fake_nvml;
mod health;
mod settings;
mod slow;
mod support;
mod values;
mod xids;
