//! The maximum number of series of each kind.
//!
//! The modules that enforce the limits use these constants, and the pipeline sets the series limit of each instrument from
//! them. By default the SDK keeps 2,000 series of an instrument, and adds the others up in one.

use super::names::Metric;

/// Components with vital signs. Further components share the one named `other`.
pub(crate) const COMPONENTS: usize = 1_000;
/// Combinations of attributes of HTTP or gRPC calls, for each side. Further ones share one with `_OTHER`.
pub(crate) const CALLS: usize = 1_000;
/// Checks of one health.
pub(crate) const CHECKS: usize = 1_024;
/// Logical processors: the most that Linux supports.
pub(crate) const PROCESSORS: usize = 8_192;
/// Disks, network interfaces, or file systems.
pub(crate) const DEVICES: usize = 2_048;
/// GPUs and parts of them.
pub(crate) const GPUS: usize = 256;
/// Kinds of failures of the series of a span.
pub(crate) const FAILURES: usize = 16;
/// Different Xids of a GPU.
pub(crate) const XIDS: usize = 64;
/// Fans of a GPU.
pub(crate) const FANS: usize = 16;

/// Series of an instrument for things that a program makes: circuits, retries, queues, runtimes.
const MADE: usize = 10_000;
/// Series of one thing by a state, a mode, a direction or an outcome.
const STATES: usize = 8;
/// Attributes whose values are names that a program gives.
const NAMES: [&str; 6] = ["allocator", "breaker", "operation", "queue", "retry", "runtime"];
/// Attributes of HTTP and gRPC calls.
const OF_CALLS: [&str; 2] = ["http.request.method", "rpc.method"];

/// The maximum number of series of a metric of this crate, if that can exceed the default of the SDK. `span_names` is
/// the setting of that name.
pub(crate) fn series(metric: &Metric, span_names: usize) -> Option<usize> {
    let has = |attribute: &str| metric.attributes.contains(&attribute);
    let series = if has("span.name") {
        // Successes, failures of each kind and without a kind, and the overflow.
        (span_names + 1) * (FAILURES + 2)
    } else if has("check") {
        CHECKS * STATES
    } else if has("cpu.logical_number") {
        PROCESSORS * STATES
    } else if has("xid") {
        GPUS * (XIDS + 1)
    } else if metric.name == "hw.fan.speed_ratio" {
        GPUS * FANS
    } else if has("hw.id") {
        GPUS * STATES
    } else if has("system.device") || has("network.interface.name") {
        DEVICES * 3
    } else if has("component") {
        // Registered components, the host and its GPUs are added to those with vital signs.
        2 * COMPONENTS * STATES
    } else if OF_CALLS.iter().any(|attribute| has(attribute)) {
        // Each handle has `CALLS` series, and those with `_OTHER`.
        10 * CALLS
    } else if NAMES.iter().any(|attribute| has(attribute)) {
        MADE
    } else {
        return None;
    };
    Some(series)
}
