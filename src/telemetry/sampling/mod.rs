//! Sampling: which traces are kept.
//!
//! `policy` holds the settings. `sampler` decides at the start of a trace, and `tail` at its end.

mod policy;
mod sampler;
mod tail;

pub use self::policy::{Sampling, SamplingRule};
pub(super) use self::sampler::{Candidate, Sampler, SharedSampler};
pub(super) use self::tail::Tail;
pub use self::tail::TailSampling;
