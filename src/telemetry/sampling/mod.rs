//! Sampling: which traces are kept.
//!
//! Start with `policy.rs`, the settings. `sampler.rs` decides at the start of a trace, and `tail.rs` at its end.

mod policy;
mod sampler;
mod tail;

pub use self::policy::{Sampling, SamplingRule};
pub(super) use self::sampler::{Candidate, Sampler, SharedSampler};
pub(super) use self::tail::Tail;
pub use self::tail::TailSampling;
