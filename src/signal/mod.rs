//! Everything the crate says about itself, by name.
//!
//! No other module knows the name of an instrument. What is counted stays where it happens: a handle keeps its
//! own numbers for its snapshot, and a source reads them out when someone collects. A call pays for its
//! counters once, whether or not there is a pipeline, and a handle made before the pipeline is not lost to it.
//! Only distributions of durations are pushed, through a recorder that is bound to the pipeline of
//! the moment.

#[cfg(feature = "telemetry")]
mod beat;
#[cfg(feature = "telemetry")]
mod exemplars;
#[cfg(feature = "telemetry")]
mod gathered;
mod identity;
mod meter;
#[cfg(feature = "telemetry")]
mod minute;
mod names;
#[cfg(feature = "telemetry")]
mod sanitized;
mod source;
mod trace;
#[cfg(feature = "telemetry")]
mod vital_of;
#[cfg(feature = "telemetry")]
mod vitals;

#[cfg(feature = "telemetry")]
pub(crate) use beat::PERIOD as BEAT;
#[cfg(feature = "telemetry")]
pub(crate) use exemplars::{Book, Exemplar, Exemplars, Witness};
pub(crate) use identity::{Identity, identify, identity};
pub(crate) use meter::DurationRecorder;
#[cfg(feature = "telemetry")]
pub(crate) use meter::{BoundDuration, instrument, publish, withdraw};
pub(crate) use names::*;
pub use names::{Kind, METRICS, Metric};
#[cfg(feature = "telemetry")]
pub(crate) use sanitized::sanitized;
#[cfg(test)]
pub(crate) use source::observe;
pub(crate) use source::{BreakerSign, Emit, Level, MachineSign, Sign, Source, Watched, register, signs};
pub(crate) use trace::{
    Current, SampledSpan, TraceIds, current_correlation, current_trace, on_current, sampled_span,
};
#[cfg(feature = "telemetry")]
pub(crate) use vital_of::VitalOf;
#[cfg(all(feature = "telemetry", test))]
pub(crate) use vitals::Vital;
#[cfg(feature = "telemetry")]
pub(crate) use vitals::{LOOK_BACK, VitalReading, Vitals};
