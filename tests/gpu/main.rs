//! GPUs without a GPU: the sampler on a fake library of the driver, loaded by path through the real wrapper.
#![cfg(target_os = "linux")]

#[path = "../support/fake_gpus.rs"]
mod fake_gpus;
mod faults;
// For the formatter alone: the tests build it themselves.
#[cfg(any())]
#[path = "../support/fake_nvml.rs"]
mod fake_nvml;
mod slow;
mod support;
mod values;
mod xids;
