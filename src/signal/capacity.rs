//! How many things of each kind are told apart in metrics.
//!
//! Each limit stands here once: the module that holds it takes it from here, and the pipeline has the SDK keep as many
//! series as follow from it. Without that the SDK keeps 2,000 of an instrument, and counts what is more together.

use super::names::Metric;

/// Components with vital signs; more share the one called `other`.
pub(crate) const COMPONENTS: usize = 1_000;
/// Combinations of attributes of HTTP or gRPC calls, for each side; more share one with `_OTHER`.
pub(crate) const CALLS: usize = 1_000;
/// Checks of one health.
pub(crate) const CHECKS: usize = 1_024;
/// Logical processors: as many as Linux can have.
pub(crate) const PROCESSORS: usize = 8_192;
/// Disks, network interfaces, or file systems.
pub(crate) const DEVICES: usize = 2_048;
/// GPUs and parts of them.
pub(crate) const GPUS: usize = 256;
/// Kinds of failures that a span's series tells apart.
pub(crate) const FAILURES: usize = 16;
/// Numbers of Xids that a GPU tells apart.
pub(crate) const XIDS: usize = 64;
/// Fans of a GPU.
pub(crate) const FANS: usize = 16;

/// Series of an instrument whose number follows from what a program makes: circuits, retries, queues, runtimes.
const MADE: usize = 10_000;
/// What a few values of a state, a mode, a direction or an outcome make of one thing.
const STATES: usize = 8;
/// Attributes whose values are names that a program gives.
const NAMES: [&str; 6] = ["allocator", "breaker", "operation", "queue", "retry", "runtime"];
/// Attributes of HTTP and gRPC calls.
const OF_CALLS: [&str; 2] = ["http.request.method", "rpc.method"];

/// How many series a metric of this crate can have, where that may be more than the SDK keeps; `span_names` is the
/// setting of that name.
pub(crate) fn series(metric: &Metric, span_names: usize) -> Option<usize> {
    let has = |attribute: &str| metric.attributes.contains(&attribute);
    let series = if has("span.name") {
        // Successes, failures of each kind and of none, and what found no room.
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
        // Those that are registered, the host and its GPUs come on top.
        2 * COMPONENTS * STATES
    } else if OF_CALLS.iter().any(|attribute| has(attribute)) {
        // Each handle has that many, and those with `_OTHER`.
        10 * CALLS
    } else if NAMES.iter().any(|attribute| has(attribute)) {
        MADE
    } else {
        return None;
    };
    Some(series)
}
