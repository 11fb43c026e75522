//! GPUs without a GPU: the sampler on a fake library of the driver, loaded by path through the real wrapper.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

#[path = "../support/fake_gpus.rs"]
mod fake_gpus;
mod faults;
// For the formatter alone: the tests build it themselves.
#[cfg(any())]
#[path = "../support/fake_nvml.rs"]
mod fake_nvml;
mod health;
mod settings;
mod slow;
mod support;
mod values;
mod xids;
