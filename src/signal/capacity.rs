//! The maximum number of series of each kind.
//!
//! The modules that enforce these limits use the constants, and the pipeline computes the series limit of each instrument
//! from them. By default the SDK keeps 2,000 series of an instrument, and merges the others into one.

use super::names::Metric;

/// Components with vital signs. Further components share the one named `other`.
pub(crate) const COMPONENTS: usize = 1_000;
/// Combinations of attributes of HTTP or gRPC calls, for clients and for servers. Further ones share one with `_OTHER`.
pub(crate) const CALLS: usize = 1_000;
/// Health checks of one pipeline.
pub(crate) const CHECKS: usize = 1_024;
/// Logical processors. Linux supports no more.
pub(crate) const PROCESSORS: usize = 8_192;
/// Disks, network interfaces, or file systems.
pub(crate) const DEVICES: usize = 2_048;
/// GPUs and their MIG instances.
pub(crate) const GPUS: usize = 256;
/// Values of `error.type` of one span name.
pub(crate) const FAILURES: usize = 16;
/// Distinct Xids of a GPU.
pub(crate) const XIDS: usize = 64;
/// Fans of a GPU.
pub(crate) const FANS: usize = 16;

/// Series of an instrument whose names the program chooses: circuits, retries, queues, runtimes.
const NAMED: usize = 10_000;
/// Values of an attribute such as a state, a mode, a direction or an outcome.
const STATES: usize = 8;
/// Attributes whose values are names that the program chooses.
const NAMES: [&str; 7] = ["allocator", "breaker", "operation", "queue", "retry", "runtime", "worker"];
/// Attributes of HTTP and gRPC calls.
const OF_CALLS: [&str; 2] = ["http.request.method", "rpc.method"];

/// The maximum number of series of a metric of this crate, if that can exceed the default of the SDK. `span_names` is
/// the setting of that name.
pub(crate) fn series(metric: &Metric, span_names: usize) -> Option<usize> {
    let has = |attribute: &str| metric.attributes.contains(&attribute);
    let series = if has("span.name") {
        // Successes, failures of each kind, and failures of other or no kind; one span name more, for the overflow.
        (span_names + 1) * (FAILURES + 2)
    } else if has("check") || has("db.client.connection.pool.name") {
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
        // Components with vital signs, registered components, the host and its GPUs.
        2 * COMPONENTS * STATES
    } else if OF_CALLS.iter().any(|attribute| has(attribute)) {
        // `CALLS` series for each of several handles.
        10 * CALLS
    } else if NAMES.iter().any(|attribute| has(attribute)) {
        NAMED
    } else {
        return None;
    };
    Some(series)
}
