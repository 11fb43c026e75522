//! The metrics of the crate and the vital signs of components.
//!
//! To read the code, start with `names.rs`, the table of metrics, and `source.rs`, the trait of everything that has metrics.
//! `declared.rs` adds metrics of the program at run time. `instrumented.rs` exports the values of all sources through
//! OpenTelemetry, `meter.rs` the durations, and `vitals.rs` counts calls, failures and durations of components.
//!
//! No other module knows the name of an instrument. Counts are stored in their handle, and each collection reads them. So a
//! call is counted once, with or without a pipeline, and handles that were created before the pipeline are collected too.
//! Only durations are pushed, through a recorder that is bound to the current pipeline.

#[cfg(feature = "telemetry")]
mod bounds;
#[cfg(feature = "telemetry")]
mod cached_vital;
pub(crate) mod capacity;
mod declared;
#[cfg(feature = "telemetry")]
mod exemplars;
#[cfg(feature = "telemetry")]
mod gathered;
#[cfg(feature = "telemetry")]
mod heartbeat;
mod identity;
#[cfg(feature = "telemetry")]
mod instrumented;
mod meter;
#[cfg(feature = "telemetry")]
mod minute;
mod names;
#[cfg(feature = "telemetry")]
mod readings;
#[cfg(feature = "telemetry")]
mod sanitized;
mod source;
mod trace;
#[cfg(any(feature = "breaker", feature = "dead-letters", feature = "retry", feature = "timing"))]
mod unread;
#[cfg(feature = "telemetry")]
mod vitals;

#[cfg(feature = "telemetry")]
pub(crate) use cached_vital::CachedVital;
#[cfg(not(feature = "telemetry"))]
pub(crate) use declared::declare;
pub(crate) use declared::key as attribute_key;
#[cfg(feature = "telemetry")]
pub(crate) use exemplars::{Exemplar, ExemplarRegistry, ExemplarSpan, Exemplars};
#[cfg(feature = "telemetry")]
pub(crate) use heartbeat::PERIOD as HEARTBEAT_PERIOD;
pub(crate) use identity::{Identity, identify, identity};
#[cfg(feature = "telemetry")]
pub(crate) use instrumented::{Instrumented, declare, instrument};
pub(crate) use meter::DurationRecorder;
#[cfg(feature = "telemetry")]
pub(crate) use meter::{BoundDuration, publish, withdraw};
#[cfg(feature = "telemetry")]
pub(crate) use minute::LOOK_BACK;
pub(crate) use names::*;
pub use names::{Kind, METRICS, Metric};
#[cfg(feature = "telemetry")]
pub(crate) use sanitized::sanitized;
#[cfg(any(test, feature = "telemetry"))]
pub(crate) use source::observe;
pub(crate) use source::{BreakerSign, Emit, Level, MachineSign, Sign, Source, Watched, register, signs};
pub(crate) use trace::{
    Current, SampledSpan, TraceIds, current_correlation, current_trace, on_current, sampled_span,
};
#[cfg(any(feature = "breaker", feature = "dead-letters", feature = "retry", feature = "timing"))]
pub(crate) use unread::{HandleKind, Place, UnreadStatus};
#[cfg(all(feature = "telemetry", test))]
pub(crate) use vitals::Vital;
#[cfg(feature = "telemetry")]
pub(crate) use vitals::{VitalReading, Vitals};
