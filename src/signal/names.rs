//! The table of metrics.

/// What kind of instrument a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks, and adds up over instances.
    UpDownCounter,
    /// The value of the moment.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric: its name, kind, unit (UCUM), attributes and meaning.
#[derive(Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Metric {
    /// The name by the OpenTelemetry convention, or `campanile.*` where there is none.
    pub name: &'static str,
    /// The kind of instrument.
    pub kind: Kind,
    /// The unit, in UCUM.
    pub unit: &'static str,
    /// The attributes it may carry.
    pub attributes: &'static [&'static str],
    /// What it says.
    pub description: &'static str,
}

/// The attributes whose values are whole numbers by the convention.
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
pub(crate) const WHOLE_NUMBERS: [&str; 2] = ["http.response.status_code", "server.port"];

macro_rules! metrics {
    ($($id:ident $name:literal $kind:ident $unit:literal [$($attribute:literal)*] $description:literal;)*) => {
        $(
            #[allow(dead_code)] // Which are in use depends on the features.
            pub(crate) static $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                attributes: &[$($attribute),*],
                description: $description,
            };
        )*

        /// Every metric of the crate.
        pub static METRICS: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    // ----- breaker -----
    BREAKER_STATE "campanile.breaker.state" Gauge "{state}" ["breaker" "state"]
        "1 for the state that the circuit is in, 0 for the others.";
    BREAKER_CALLS "campanile.breaker.calls" Counter "{call}" ["breaker" "outcome"]
        "Calls that the circuit let through, by outcome.";
    BREAKER_SLOW_CALLS "campanile.breaker.slow_calls" Counter "{call}" ["breaker"]
        "Calls that took longer than the slow-call limit.";
    BREAKER_SLOW_CALL_LIMIT "campanile.breaker.slow_call_limit" Gauge "s" ["breaker"]
        "A call that takes longer is slow: as configured, or as learned.";
    BREAKER_REJECTIONS "campanile.breaker.rejections" Counter "{call}" ["breaker" "reason"]
        "Calls that the circuit refused.";
    BREAKER_TRANSITIONS "campanile.breaker.transitions" Counter "{transition}" ["breaker" "state"]
        "Changes of state, by the state they led to.";
    BREAKER_WOULD_OPEN "campanile.breaker.would_open" Counter "{time}" ["breaker"]
        "Times that a metrics-only circuit would have opened.";
    BREAKER_CIRCUITS "campanile.breaker.circuits" UpDownCounter "{circuit}" ["breaker" "state"]
        "Circuits of a keyed breaker, by state.";
    BREAKER_EVICTED "campanile.breaker.evicted" Counter "{circuit}" ["breaker"]
        "Circuits of a keyed breaker that were given up for those of other keys.";
    BREAKER_KEPT_CLOSED "campanile.breaker.kept_closed" Counter "{call}" ["breaker"]
        "Calls that would have opened a circuit of a keyed breaker, had not as many others been open as may be.";
    // ----- retry -----
    RETRY_CALLS "campanile.retry.calls" Counter "{call}" ["retry" "outcome"]
        "Calls as their caller saw them: success or failure after all attempts.";
    RETRY_ATTEMPTS "campanile.retry.retries" Counter "{attempt}" ["retry"]
        "Attempts after the first.";
    RETRY_GIVEN_UP "campanile.retry.given_up" Counter "{call}" ["retry" "reason"]
        "Failed calls that were not tried again, by what forbade it.";
    RETRY_BUDGET "campanile.retry.budget.remaining" Gauge "{attempt}" ["retry"]
        "Attempts after the first that the budget would pay for now.";
    // ----- timing -----
    TIMING_DURATION "campanile.timing.duration" Histogram "s" ["operation" "error.type"]
        "How long the calls of a plain service took.";
    TIMING_ACTIVE "campanile.timing.active_calls" UpDownCounter "{call}" ["operation"]
        "Calls of a timing handle that run now, of any kind.";
    HTTP_SERVER_DURATION "http.server.request.duration" Histogram "s"
        ["http.request.method" "http.response.status_code" "http.route" "network.protocol.version" "url.scheme" "error.type"]
        "Duration of HTTP server requests.";
    HTTP_SERVER_ACTIVE "http.server.active_requests" UpDownCounter "{request}" ["http.request.method" "url.scheme"]
        "Number of active HTTP server requests.";
    HTTP_CLIENT_DURATION "http.client.request.duration" Histogram "s"
        ["http.request.method" "http.response.status_code" "network.protocol.version" "server.address" "server.port" "url.scheme" "error.type"]
        "Duration of HTTP client requests.";
    HTTP_CLIENT_ACTIVE "http.client.active_requests" UpDownCounter "{request}"
        ["http.request.method" "server.address" "server.port" "url.scheme"]
        "Number of active HTTP requests.";
    RPC_SERVER_DURATION "rpc.server.call.duration" Histogram "s"
        ["rpc.system.name" "rpc.method" "rpc.response.status_code" "error.type"]
        "Duration of incoming remote procedure calls.";
    RPC_CLIENT_DURATION "rpc.client.call.duration" Histogram "s"
        ["rpc.system.name" "rpc.method" "rpc.response.status_code" "server.address" "server.port" "error.type"]
        "Duration of outgoing remote procedure calls.";
    // ----- dead letters -----
    LETTERS_DEPTH "campanile.dead_letter.depth" UpDownCounter "{letter}" ["queue"]
        "Letters that wait in the queue.";
    LETTERS_OLDEST "campanile.dead_letter.oldest_age" Gauge "s" ["queue"]
        "Age of the oldest waiting letter.";
    LETTERS_SIZE "campanile.dead_letter.size" UpDownCounter "By" ["queue"]
        "Bytes of the letters that wait in the queue.";
    LETTERS_FILE_SIZE "campanile.dead_letter.file.size" Gauge "By" ["queue"]
        "Bytes that the queue's files take of the disk; queues in one file tell the same number.";
    LETTERS_PARKED "campanile.dead_letter.parked" Counter "{letter}" ["queue"]
        "Requests that failed for good and were parked.";
    LETTERS_DROPPED "campanile.dead_letter.dropped" Counter "{letter}" ["queue" "reason"]
        "Requests that failed for good and could not be parked.";
    LETTERS_EVICTED "campanile.dead_letter.evicted" Counter "{letter}" ["queue" "reason"]
        "Parked letters that were given up: for newer ones in a full queue, or because their time was over.";
    LETTERS_REDRIVEN "campanile.dead_letter.redriven" Counter "{letter}" ["queue" "outcome"]
        "Letters sent again, by outcome.";
    LETTERS_SET_ASIDE "campanile.dead_letter.set_aside" Counter "{letter}" ["queue"]
        "Letters that were set aside, because redrives failed them too often.";
    LETTERS_PURGED "campanile.dead_letter.purged" Counter "{letter}" ["queue"]
        "Letters removed by a purge.";
    LETTERS_SPILLED "campanile.dead_letter.spilled" Counter "{letter}" ["queue" "reason"]
        "Parked letters that went to the spill, because their store was full, failed or did not answer in time.";
    LETTERS_SPILL_DEPTH "campanile.dead_letter.spill.depth" UpDownCounter "{letter}" ["queue"]
        "Letters that wait in the spill.";
    LETTERS_STORE_DURATION "campanile.dead_letter.store.duration" Histogram "s" ["queue" "operation" "error.type"]
        "How long the store took to answer.";
    // ----- spans -----
    SPAN_DURATION "campanile.span.duration" Histogram "s" ["component" "span.name" "error.type" "otel.metric.overflow"]
        "How long spans took, sampled or not, with the kind of failure of those that failed; its count is the number of calls.";
    SPANS_STARTED "campanile.telemetry.spans.started" Counter "{span}" []
        "Spans that the span layer saw start.";
    SPANS_SAMPLED "campanile.telemetry.spans.sampled" Counter "{span}" []
        "Spans handed to the exporters.";
    SPANS_DROPPED "campanile.telemetry.spans.dropped" Counter "{span}" ["reason"]
        "Sampled spans that no exporter got, by reason.";
    TAIL_KEPT "campanile.telemetry.tail.kept" Counter "{span}" []
        "Spans that their end saved: a trace of them failed or was slow.";
    TAIL_EVICTED "campanile.telemetry.tail.evicted" Counter "{trace}" []
        "Traces that could not wait for their end: there was no more room.";
    LOGS_EMITTED "campanile.telemetry.logs.emitted" Counter "{log_record}" []
        "Log records handed to the exporters.";
    LOGS_DROPPED "campanile.telemetry.logs.dropped" Counter "{log_record}" ["reason"]
        "Log records that no exporter got, by reason.";
    QUEUE_LENGTH "campanile.telemetry.queue.length" UpDownCounter "{item}" ["signal"]
        "Spans or log records that wait for their export.";
    EXPORT_FAILURES "campanile.telemetry.export.failures" Counter "{export}" ["signal"]
        "Exports that failed.";
    EXPORT_DURATION "campanile.telemetry.export.duration" Histogram "s" ["signal"]
        "How long exports took, failed or not, waits and repetitions included.";
    PROPAGATION_MALFORMED "campanile.telemetry.propagation.malformed" Counter "{header}" ["header" "reason"]
        "Headers of a trace, its baggage or a correlation id that came in and were ignored, whole or in part.";
    // ----- health -----
    HEALTH_SCORE "campanile.health.score" Gauge "1" ["component"]
        "Score of a component: 1 is healthy, 0 is not working.";
    HEALTH_STATUS "campanile.health.status" Gauge "{status}" ["component" "status"]
        "1 for the status that the component has, 0 for the others.";
    // ----- system -----
    SYSTEM_CPU_UTILIZATION "system.cpu.utilization" Gauge "1" []
        "Share of all processors that was busy since the last sample.";
    SYSTEM_CPU_COUNT "system.cpu.logical.count" UpDownCounter "{cpu}" []
        "Number of logical processors.";
    SYSTEM_LOAD "campanile.system.load" Gauge "{thread}" ["period"]
        "Load average over 1m, 5m and 15m.";
    SYSTEM_MEMORY_USAGE "system.memory.usage" UpDownCounter "By" ["system.memory.state"]
        "Memory by state.";
    SYSTEM_MEMORY_LIMIT "system.memory.limit" UpDownCounter "By" []
        "Memory of the machine.";
    SYSTEM_MEMORY_UTILIZATION "system.memory.utilization" Gauge "1" ["system.memory.state"]
        "Share of the memory by state.";
    SYSTEM_UPTIME "system.uptime" Gauge "s" []
        "Time since the machine started.";
    PROCESS_CPU_TIME "process.cpu.time" Counter "s" []
        "Processor time that this process used.";
    PROCESS_CPU_UTILIZATION "process.cpu.utilization" Gauge "1" []
        "Share of all processors that this process used since the last sample.";
    PROCESS_MEMORY_USAGE "process.memory.usage" UpDownCounter "By" []
        "Resident memory of this process.";
    PROCESS_MEMORY_VIRTUAL "process.memory.virtual" UpDownCounter "By" []
        "Virtual memory of this process.";
    PROCESS_UPTIME "process.uptime" Gauge "s" []
        "Time since this process started.";
    SAMPLER_DURATION "campanile.sampler.duration" Gauge "s" ["source"]
        "How long the last sample of a source took.";
    SAMPLER_FAILURES "campanile.sampler.failures" Counter "{sample}" ["source"]
        "Samples of a source that failed.";
}
