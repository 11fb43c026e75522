//! The table of all metrics.

/// What kind of instrument a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks. Values of several instances can be added up.
    UpDownCounter,
    /// The current value.
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
    /// The attributes that it may have.
    pub attributes: &'static [&'static str],
    /// The description.
    pub description: &'static str,
}

impl Metric {
    /// Whether it describes the process or the machine. All samplers of a process share such a metric.
    pub(crate) fn is_shared(&self) -> bool {
        ["system.", "process.", "container.", "hw."].iter().any(|area| self.name.starts_with(area))
            || ["pressure.", "container.", "allocator.", "runtime.", "gpu."]
                .iter()
                .any(|area| self.name.strip_prefix("campanile.").is_some_and(|name| name.starts_with(area)))
    }
}

/// The attributes whose values are whole numbers by the convention.
pub(crate) const WHOLE_NUMBERS: [&str; 3] =
    ["cpu.logical_number", "http.response.status_code", "server.port"];

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
        "Calls that the circuit admitted, by outcome.";
    BREAKER_SLOW_CALLS "campanile.breaker.slow_calls" Counter "{call}" ["breaker"]
        "Calls that took longer than the slow-call limit.";
    BREAKER_SLOW_CALL_LIMIT "campanile.breaker.slow_call_limit" Gauge "s" ["breaker"]
        "The current slow-call limit: configured or learned.";
    BREAKER_REJECTIONS "campanile.breaker.rejections" Counter "{call}" ["breaker" "reason"]
        "Calls that the circuit refused, by reason.";
    BREAKER_TRANSITIONS "campanile.breaker.transitions" Counter "{transition}" ["breaker" "state"]
        "Changes of state, by the new state.";
    BREAKER_WOULD_OPEN "campanile.breaker.would_open" Counter "{time}" ["breaker"]
        "How often a metrics-only circuit would have opened.";
    BREAKER_CIRCUITS "campanile.breaker.circuits" UpDownCounter "{circuit}" ["breaker" "state"]
        "Circuits of a keyed breaker, by state.";
    BREAKER_EVICTED "campanile.breaker.evicted" Counter "{circuit}" ["breaker"]
        "Circuits of a keyed breaker that were evicted for other keys.";
    BREAKER_KEPT_CLOSED "campanile.breaker.kept_closed" Counter "{call}" ["breaker"]
        "Calls that would have opened a circuit of a keyed breaker, but the maximum number of circuits was open.";
    // ----- any plain layer -----
    LAYER_UNREAD_STATUS "campanile.layer.unread_status" Counter "{call}" ["layer" "name"]
        "Calls through a layer or method that takes their response for a success without reading its status.";
    // ----- retry -----
    RETRY_CALLS "campanile.retry.calls" Counter "{call}" ["retry" "outcome"]
        "Calls by their final outcome, after all attempts.";
    RETRY_ATTEMPTS "campanile.retry.retries" Counter "{attempt}" ["retry"]
        "Attempts after the first.";
    RETRY_GIVEN_UP "campanile.retry.given_up" Counter "{call}" ["retry" "reason"]
        "Failed calls that were not retried, by reason.";
    RETRY_BUDGET "campanile.retry.budget.remaining" Gauge "{attempt}" ["retry"]
        "Retries that the budget allows now.";
    // ----- fallback -----
    FALLBACK_CALLS "campanile.fallback.calls" Counter "{call}" ["fallback" "kind" "result"]
        "Calls with a fallback of this kind, by result: the first try succeeded, the fallback answered, had no answer or failed too, or the call was cancelled.";
    FALLBACK_KEPT "campanile.fallback.kept" UpDownCounter "{answer}" ["fallback"]
        "Last good answers that are kept.";
    FALLBACK_KEPT_SIZE "campanile.fallback.kept.size" UpDownCounter "By" ["fallback"]
        "Bytes of the last good answers that are kept.";
    FALLBACK_EVICTED "campanile.fallback.evicted" Counter "{answer}" ["fallback"]
        "Last good answers that were dropped for newer ones, or because they were too old.";
    FALLBACK_NOT_KEPT "campanile.fallback.not_kept" Counter "{answer}" ["fallback" "reason"]
        "Good answers that were not kept, by reason.";
    FALLBACK_ACTIVE "campanile.fallback.active" Gauge "1" ["fallback" "alternative"]
        "1 for the alternative that is in use, 0 for the others.";
    FALLBACK_ALTERNATIVE_CALLS "campanile.fallback.alternative.calls" Counter "{call}" ["fallback" "alternative" "result"]
        "Calls of an alternative by result, and connects to it that failed.";
    FALLBACK_CHANGES "campanile.fallback.changes" Counter "{change}" ["fallback"]
        "How often another alternative was used from then on.";
    FALLBACK_EXHAUSTED "campanile.fallback.exhausted" Counter "{call}" ["fallback"]
        "Calls for which no alternative worked.";
    // ----- timing -----
    TIMING_DURATION "campanile.timing.duration" Histogram "s" ["operation" "error.type"]
        "Duration of the calls of a plain service.";
    TIMING_ACTIVE "campanile.timing.active_calls" UpDownCounter "{call}" ["operation"]
        "Calls of a timing handle that are running, of any kind.";
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
        "Size of the queue's file and its log; queues in the same file report the same size.";
    LETTERS_PARKED "campanile.dead_letter.parked" Counter "{letter}" ["queue"]
        "Requests that failed for good and were parked.";
    LETTERS_DROPPED "campanile.dead_letter.dropped" Counter "{letter}" ["queue" "reason"]
        "Requests that failed for good and could not be parked.";
    LETTERS_EVICTED "campanile.dead_letter.evicted" Counter "{letter}" ["queue" "reason"]
        "Parked letters that were dropped: for newer ones in a full queue, or because they expired.";
    LETTERS_REDRIVEN "campanile.dead_letter.redriven" Counter "{letter}" ["queue" "outcome"]
        "Letters sent again, by outcome.";
    LETTERS_SET_ASIDE "campanile.dead_letter.set_aside" Counter "{letter}" ["queue" "reason"]
        "Letters that were set aside, because redrives failed too often or cannot send them.";
    LETTERS_UNSENDABLE "campanile.dead_letter.unsendable" Counter "{letter}" ["queue" "reason"]
        "Parked letters that no redrive can send, by reason: the request could not be stored as JSON, a secret was removed from it, or its body is missing.";
    LETTERS_PURGED "campanile.dead_letter.purged" Counter "{letter}" ["queue"]
        "Letters removed by a purge.";
    LETTERS_SPILLED "campanile.dead_letter.spilled" Counter "{letter}" ["queue" "reason"]
        "Letters parked in the spill, by reason: the store was full, failed or timed out.";
    LETTERS_SPILL_DEPTH "campanile.dead_letter.spill.depth" UpDownCounter "{letter}" ["queue"]
        "Letters that wait in the spill.";
    LETTERS_LOST "campanile.dead_letter.lost" Counter "{letter}" ["queue"]
        "Parked letters that the store lost, in whole or in part, as far as this process found.";
    LETTERS_STORE_REPAIRS "campanile.dead_letter.store.repairs" Counter "{repair}" ["queue"]
        "How often this process found that the store had lost a part of the queue, and repaired the rest.";
    LETTERS_STORE_DURATION "campanile.dead_letter.store.duration" Histogram "s" ["queue" "operation" "error.type"]
        "Duration of the store's operations.";
    // ----- workers -----
    WORKER_ITEMS "campanile.worker.items" Counter "{item}" ["worker" "state" "reason"] "Items of a worker by state: ingested, ok, failed, cancelled, converted or skipped; failed and skipped ones with the reason.";
    WORKER_ACTIVE "campanile.worker.active_items" UpDownCounter "{item}" ["worker"] "Items that a worker is processing.";
    WORKER_OPERATION_DURATION "campanile.worker.operation.duration" Histogram "s" ["worker" "operation" "error.type"] "Duration of the operations that a worker tracks.";
    WORKER_OPERATION_ITEMS "campanile.worker.operation.items" Counter "{item}" ["worker" "operation"] "Items of the operations of a worker that succeeded.";
    WORKER_TASK_DURATION "campanile.worker.task.duration" Histogram "s" ["worker" "task" "error.type"] "Duration of the runs of a worker's tasks and loops.";
    WORKER_TASK_ACTIVE "campanile.worker.task.active" UpDownCounter "{run}" ["worker" "task"] "Runs of a worker's tasks and loops that are in progress.";
    WORKER_ERRORS "campanile.worker.errors" Counter "{error}" ["worker" "error.type"] "Errors of a worker by type: recorded ones, and those of failed items and tasks.";
    WORKER_EVENTS "campanile.worker.events" Counter "{event}" ["component" "event" "severity" "worker"] "Events of a worker, by component, type and severity.";
    // ----- spans -----
    SPAN_DURATION "campanile.span.duration" Histogram "s" ["component" "span.name" "error.type" "otel.metric.overflow"]
        "Duration of spans, sampled or not, with the kind of failure of failed ones; its count is the number of calls.";
    LOG_EVENTS "campanile.log.events" Counter "{event}" ["component" "level"]
        "Warnings and errors that reached the span layer, by component, whether or not their trace is sampled or they are exported.";
    SPANS_STARTED "campanile.telemetry.spans.started" Counter "{span}" []
        "Spans that started in the span layer.";
    SPANS_SAMPLED "campanile.telemetry.spans.sampled" Counter "{span}" []
        "Spans handed to the exporters.";
    SPANS_DROPPED "campanile.telemetry.spans.dropped" Counter "{span}" ["reason"]
        "Sampled spans that were not exported, by reason.";
    TAIL_KEPT "campanile.telemetry.tail.kept" Counter "{span}" []
        "Spans that tail sampling kept, because their trace failed or was slow.";
    TAIL_EVICTED "campanile.telemetry.tail.evicted" Counter "{trace}" []
        "Traces that tail sampling could not hold until their end, because the buffer was full.";
    LOGS_EMITTED "campanile.telemetry.logs.emitted" Counter "{log_record}" []
        "Log records handed to the exporters.";
    LOGS_DROPPED "campanile.telemetry.logs.dropped" Counter "{log_record}" ["reason"]
        "Log records that were not exported, by reason.";
    QUEUE_LENGTH "campanile.telemetry.queue.length" UpDownCounter "{item}" ["signal"]
        "Spans or log records that wait for export.";
    EXPORT_FAILURES "campanile.telemetry.export.failures" Counter "{export}" ["signal"]
        "Exports that failed.";
    EXPORT_DURATION "campanile.telemetry.export.duration" Histogram "s" ["signal"]
        "Duration of exports, failed or not, including waits and retries.";
    METRICS_OVERFLOWED "campanile.telemetry.metrics.overflowed" Counter "{instrument}" []
        "Instruments with more series than the limit, each counted once. Further series are counted together, as `otel.metric.overflow`, and a log line names the instrument.";
    PROMETHEUS_COLLISIONS "campanile.telemetry.prometheus.collisions" Counter "{collision}" ["kind"]
        "Names, labels, series and descriptions that collided in Prometheus, each counted once; a log line names each.";
    PROPAGATION_MALFORMED "campanile.telemetry.propagation.malformed" Counter "{header}" ["header" "reason"]
        "Incoming headers of a trace, its baggage or a correlation id that were ignored, in whole or in part.";
    // ----- health -----
    HEALTH_SCORE "campanile.health.score" Gauge "1" ["component"]
        "Health score of a component, from 0 (not working) to 1 (healthy).";
    HEALTH_STATUS "campanile.health.status" Gauge "{status}" ["component" "status"]
        "1 for the status that the component has, 0 for the others.";
    HEALTH_READY "campanile.health.ready" Gauge "1" []
        "1 if this process is ready for requests, 0 if a critical component fails or the process is draining.";
    HEALTH_RISK "campanile.health.risk" Gauge "1" ["component"]
        "Signs that a component will get into trouble: from 0, none, to 1.";
    HEALTH_ANOMALY "campanile.health.anomaly" Gauge "1" ["component" "sign"]
        "Distance of a vital sign from its usual level for the component, in robust standard deviations.";
    CHECK_RUNS "campanile.health.check.runs" Counter "{run}" ["component" "check" "outcome"]
        "Runs of health checks, by outcome.";
    CHECK_DURATION "campanile.health.check.duration" Histogram "s" ["component" "check" "outcome"]
        "Duration of health checks.";
    CHECK_PASSING "campanile.health.check.passing" Gauge "1" ["component" "check"]
        "1 while the checked dependency works, 0 while it does not.";
    CHECK_RESPONSES "campanile.health.check.responses" Counter "{response}" ["component" "check" "http.response.status_code"]
        "Responses to HTTP checks, by status.";
    DB_CONNECTIONS "db.client.connection.count" UpDownCounter "{connection}" ["db.client.connection.pool.name" "db.client.connection.state"]
        "Connections of a pool by state, at the last run of its check.";
    DB_CONNECTIONS_MAX "db.client.connection.max" UpDownCounter "{connection}" ["db.client.connection.pool.name"]
        "Maximum number of connections of a pool.";
    DB_PENDING "db.client.connection.pending_requests" UpDownCounter "{request}" ["db.client.connection.pool.name"]
        "Callers that waited for a connection of a pool, at the last run of its check.";
    DB_DURATION "db.client.operation.duration" Histogram "s" ["db.system.name" "error.type"]
        "Duration of the queries of checks of connection pools.";
    HEALING_ACTIONS "campanile.health.healing.actions" Counter "{action}" ["component" "action" "outcome"]
        "Healings that were started, by outcome.";
    HEALING_WITHHELD "campanile.health.healing.withheld" Counter "{action}" ["component" "action" "reason"]
        "Healing actions that were due but not started, by reason.";
    HEALING_DURATION "campanile.health.healing.duration" Histogram "s" ["component" "action" "outcome"]
        "Duration of healing actions, including verification.";
    // ----- the machine -----
    SYSTEM_CPU_TIME "system.cpu.time" Counter "s" ["cpu.logical_number" "cpu.mode"]
        "Processor time by mode.";
    SYSTEM_CPU_UTILIZATION "system.cpu.utilization" Gauge "1" ["cpu.logical_number" "cpu.mode"]
        "Share of the processor time by mode since the last sample.";
    SYSTEM_CPU_COUNT "system.cpu.logical.count" UpDownCounter "{cpu}" []
        "Number of logical processors.";
    SYSTEM_CPU_PHYSICAL_COUNT "system.cpu.physical.count" UpDownCounter "{cpu}" []
        "Number of processor cores.";
    SYSTEM_CPU_FREQUENCY "system.cpu.frequency" Gauge "Hz" ["cpu.logical_number"]
        "Clock frequency of the processors: the mean, or that of each.";
    SYSTEM_LOAD "campanile.system.load" Gauge "{thread}" ["period"]
        "Load average over 1m, 5m and 15m.";
    SYSTEM_MEMORY_USAGE "system.memory.usage" UpDownCounter "By" ["system.memory.state"]
        "Memory by state; used memory is what is not available, as `free` shows it.";
    SYSTEM_MEMORY_LIMIT "system.memory.limit" UpDownCounter "By" []
        "Total memory of the machine.";
    SYSTEM_MEMORY_UTILIZATION "system.memory.utilization" Gauge "1" ["system.memory.state"]
        "Share of the memory by state.";
    SYSTEM_MEMORY_AVAILABLE "system.memory.linux.available" UpDownCounter "By" []
        "Memory that is available without swapping.";
    SYSTEM_MEMORY_SHARED "system.memory.linux.shared" UpDownCounter "By" []
        "Memory of shared and temporary files. It is part of the cache.";
    SYSTEM_PAGING_USAGE "system.paging.usage" UpDownCounter "By" ["system.paging.state"]
        "Swap space by state.";
    SYSTEM_PAGING_UTILIZATION "system.paging.utilization" Gauge "1" ["system.paging.state"]
        "Share of the swap space by state.";
    SYSTEM_PAGING_FAULTS "system.paging.faults" Counter "{fault}" ["system.paging.fault.type"]
        "Page faults. Major ones read from a disk.";
    SYSTEM_PAGING_OPERATIONS "system.paging.operations" Counter "{operation}" ["system.paging.direction"]
        "Pages swapped in and out.";
    SYSTEM_DISK_IO "system.disk.io" Counter "By" ["disk.io.direction" "system.device"]
        "Bytes that disks read and wrote.";
    SYSTEM_DISK_OPERATIONS "system.disk.operations" Counter "{operation}" ["disk.io.direction" "system.device"]
        "Reads and writes that disks completed.";
    SYSTEM_DISK_MERGED "system.disk.merged" Counter "{operation}" ["disk.io.direction" "system.device"]
        "Reads and writes that were merged into others.";
    SYSTEM_DISK_IO_TIME "system.disk.io_time" Counter "s" ["system.device"]
        "Time that disks were busy.";
    SYSTEM_DISK_OPERATION_TIME "system.disk.operation_time" Counter "s" ["disk.io.direction" "system.device"]
        "Total time of reads and writes.";
    SYSTEM_FILESYSTEM_USAGE "system.filesystem.usage" UpDownCounter "By"
        ["system.device" "system.filesystem.mode" "system.filesystem.mountpoint" "system.filesystem.state" "system.filesystem.type"]
        "Space of file systems by state.";
    SYSTEM_FILESYSTEM_LIMIT "system.filesystem.limit" UpDownCounter "By"
        ["system.device" "system.filesystem.mode" "system.filesystem.mountpoint" "system.filesystem.type"]
        "Total space of file systems.";
    SYSTEM_FILESYSTEM_UTILIZATION "system.filesystem.utilization" Gauge "1"
        ["system.device" "system.filesystem.mode" "system.filesystem.mountpoint" "system.filesystem.state" "system.filesystem.type"]
        "Used share of the space for unprivileged users, as `df` shows it.";
    SYSTEM_NETWORK_IO "system.network.io" Counter "By" ["network.interface.name" "network.io.direction"]
        "Bytes that network interfaces received and sent.";
    SYSTEM_NETWORK_PACKETS "system.network.packet.count" Counter "{packet}" ["network.io.direction" "system.device"]
        "Packets that network interfaces received and sent.";
    SYSTEM_NETWORK_DROPPED "system.network.packet.dropped" Counter "{packet}" ["network.interface.name" "network.io.direction"]
        "Packets that network interfaces dropped.";
    SYSTEM_NETWORK_ERRORS "system.network.errors" Counter "{error}" ["network.interface.name" "network.io.direction"]
        "Errors of network interfaces.";
    SYSTEM_PROCESSES "system.process.count" UpDownCounter "{process}" []
        "Number of processes.";
    SYSTEM_PROCESSES_CREATED "system.process.created" Counter "{process}" []
        "Processes created since the machine started.";
    SYSTEM_UPTIME "system.uptime" Gauge "s" []
        "Time since the machine started.";
    PRESSURE_TIME "campanile.pressure.time" Counter "s" ["scope" "resource" "share"]
        "Time in which some, or all, tasks of the system or of this container waited for a resource.";
    PRESSURE_RECENT "campanile.pressure.recent" Gauge "1" ["scope" "resource" "share"]
        "Share of the last ten seconds in which some, or all, tasks waited for a resource.";
    // ----- the container -----
    CONTAINER_CPU_TIME "container.cpu.time" Counter "s" ["cpu.mode"]
        "Processor time that this container used.";
    CONTAINER_CPU_USAGE "container.cpu.usage" Gauge "{cpu}" []
        "Mean number of processors that this container used since the last sample.";
    CONTAINER_CPU_LIMIT "campanile.container.cpu.limit" Gauge "{cpu}" []
        "Number of processors that this container may use, by its quota or its set of processors.";
    CONTAINER_CPU_UTILIZATION "campanile.container.cpu.utilization" Gauge "1" []
        "Share of its processor limit that this container used since the last sample.";
    CONTAINER_CPU_PERIODS "campanile.container.cpu.periods" Counter "{period}" ["state"]
        "Periods of the quota by state: throttled or unthrottled.";
    CONTAINER_CPU_THROTTLED "campanile.container.cpu.throttled.time" Counter "s" []
        "Time for which this container was throttled.";
    CONTAINER_MEMORY_USAGE "container.memory.usage" UpDownCounter "By" []
        "Memory of this container, including the page cache.";
    CONTAINER_MEMORY_WORKING_SET "container.memory.working_set" UpDownCounter "By" []
        "Working set of this container: its memory without unused cache.";
    CONTAINER_MEMORY_AVAILABLE "container.memory.available" UpDownCounter "By" []
        "Memory that this container can still allocate.";
    CONTAINER_MEMORY_LIMIT "campanile.container.memory.limit" Gauge "By" []
        "Memory limit of this container.";
    CONTAINER_MEMORY_UTILIZATION "campanile.container.memory.utilization" Gauge "1" []
        "Working set of this container as a share of its memory limit.";
    CONTAINER_MEMORY_EVENTS "campanile.container.memory.events" Counter "{event}" ["event"]
        "How often this container reached a memory limit, and the number of processes killed for it.";
    // ----- this process -----
    PROCESS_CPU_TIME "process.cpu.time" Counter "s" ["cpu.mode"]
        "Processor time that this process used.";
    PROCESS_CPU_UTILIZATION "process.cpu.utilization" Gauge "1" ["cpu.mode"]
        "Share of all processors that this process used since the last sample.";
    PROCESS_MEMORY_USAGE "process.memory.usage" UpDownCounter "By" []
        "Resident memory of this process.";
    PROCESS_MEMORY_VIRTUAL "process.memory.virtual" UpDownCounter "By" []
        "Virtual memory of this process.";
    PROCESS_MEMORY_PEAK "campanile.process.memory.peak" Gauge "By" []
        "The maximum resident memory of this process since it started.";
    PROCESS_DISK_IO "process.disk.io" Counter "By" ["disk.io.direction"]
        "Bytes that disks read and wrote for this process.";
    PROCESS_THREADS "process.thread.count" UpDownCounter "{thread}" []
        "Threads of this process.";
    PROCESS_FILE_DESCRIPTORS "process.unix.file_descriptor.count" UpDownCounter "{file_descriptor}" []
        "File descriptors that this process has open.";
    PROCESS_FILE_DESCRIPTOR_LIMIT "campanile.process.file_descriptor.limit" Gauge "{file_descriptor}" []
        "Limit of open file descriptors of this process.";
    PROCESS_CONTEXT_SWITCHES "process.context_switches" Counter "{context_switch}" ["process.context_switch.type"]
        "Context switches of the threads of this process.";
    PROCESS_PAGING_FAULTS "process.paging.faults" Counter "{fault}" ["system.paging.fault.type"]
        "Page faults of this process. Major ones read from a disk.";
    PROCESS_UPTIME "process.uptime" Gauge "s" []
        "Time since this process started.";
    ALLOCATOR_MEMORY "campanile.allocator.memory" Gauge "By" ["allocator" "state"]
        "Memory of the allocator of this process by state; states may overlap.";
    // ----- the Tokio runtime -----
    RUNTIME_WORKERS "campanile.runtime.workers" UpDownCounter "{thread}" ["runtime"]
        "Worker threads of a Tokio runtime.";
    RUNTIME_TASKS "campanile.runtime.tasks" UpDownCounter "{task}" ["runtime"]
        "Tasks of a Tokio runtime that are alive.";
    RUNTIME_QUEUE_DEPTH "campanile.runtime.queue.depth" UpDownCounter "{task}" ["runtime" "queue"]
        "Tasks of a Tokio runtime that wait for a worker, by queue.";
    RUNTIME_BUSY_TIME "campanile.runtime.busy.time" Counter "s" ["runtime"]
        "Total busy time of the workers of a Tokio runtime.";
    RUNTIME_UTILIZATION "campanile.runtime.utilization" Gauge "1" ["runtime"]
        "Busy share of the workers of a Tokio runtime since the last sample.";
    RUNTIME_PARKS "campanile.runtime.parks" Counter "{time}" ["runtime"]
        "How often workers of a Tokio runtime had nothing to do.";
    RUNTIME_SCHEDULING_DELAY "campanile.runtime.scheduling.delay" Gauge "s" ["runtime"]
        "How long a new task waited until it ran, or has waited so far.";
    RUNTIME_BUDGET_YIELDS "campanile.runtime.budget_forced_yields" Counter "{time}" ["runtime"]
        "How often a task was forced to yield (with `tokio_unstable`).";
    RUNTIME_BLOCKING_THREADS "campanile.runtime.blocking.threads" UpDownCounter "{thread}" ["runtime" "state"]
        "Threads of the blocking pool, by state (with `tokio_unstable`).";
    RUNTIME_SPAWNED "campanile.runtime.tasks.spawned" Counter "{task}" ["runtime"]
        "Tasks spawned on a Tokio runtime (with `tokio_unstable`).";
    RUNTIME_POLLS "campanile.runtime.polls" Counter "{poll}" ["runtime"]
        "How often workers of a Tokio runtime polled a task (with `tokio_unstable`).";
    RUNTIME_STEALS "campanile.runtime.steals" Counter "{task}" ["runtime"]
        "Tasks that workers of a Tokio runtime stole from each other (with `tokio_unstable`).";
    // ----- GPUs -----
    GPU_UTILIZATION "hw.gpu.utilization" Gauge "1" ["hw.gpu.task" "hw.id" "hw.name" "hw.parent"]
        "Share of the time in which a GPU was busy, by task.";
    GPU_MEMORY_USAGE "hw.gpu.memory.usage" UpDownCounter "By" ["hw.id" "hw.name" "hw.parent"]
        "Memory in use on a GPU.";
    GPU_MEMORY_LIMIT "hw.gpu.memory.limit" UpDownCounter "By" ["hw.id" "hw.model" "hw.name" "hw.parent"]
        "Total memory of a GPU.";
    GPU_MEMORY_UTILIZATION "hw.gpu.memory.utilization" Gauge "1" ["hw.id" "hw.name" "hw.parent"]
        "Used share of the memory of a GPU.";
    GPU_IO "hw.gpu.io" Counter "By" ["hw.id" "hw.name" "network.io.direction"]
        "Bytes that a GPU received and sent over PCIe, as estimated from samples.";
    HW_STATUS "hw.status" UpDownCounter "1" ["hw.id" "hw.name" "hw.parent" "hw.state" "hw.type"]
        "1 for the state that a device is in, 0 for the others.";
    HW_ERRORS "hw.errors" Counter "{error}" ["error.type" "hw.id" "hw.name" "hw.type"]
        "Errors of a device by kind: corrected and uncorrected memory errors, link errors, and Xid errors.";
    HW_TEMPERATURE "hw.temperature" Gauge "Cel" ["hw.id" "hw.name" "hw.sensor_location"]
        "Temperature of a device.";
    HW_TEMPERATURE_LIMIT "hw.temperature.limit" Gauge "Cel" ["hw.id" "hw.limit_type" "hw.name" "hw.sensor_location"]
        "Temperatures at which a device slows down or stops.";
    HW_POWER "hw.power" Gauge "W" ["hw.id" "hw.name" "hw.type"]
        "Power draw of a device.";
    HW_ENERGY "hw.energy" Counter "J" ["hw.id" "hw.name" "hw.type"]
        "Energy that a device consumed.";
    HW_FAN_SPEED "hw.fan.speed_ratio" Gauge "1" ["hw.id" "hw.name" "hw.parent"]
        "Speed of a fan as a share of its maximum.";
    GPU_POWER_LIMIT "campanile.gpu.power.limit" Gauge "W" ["hw.id" "hw.name"]
        "Power limit of a GPU.";
    GPU_CLOCK "campanile.gpu.clock.frequency" Gauge "Hz" ["clock" "hw.id" "hw.name"]
        "Clock frequencies of a GPU.";
    GPU_THROTTLED "campanile.gpu.throttled" Gauge "1" ["hw.id" "hw.name" "reason"]
        "1 for each reason that slows a GPU down, 0 for the others.";
    GPU_PCIE_REPLAYS "campanile.gpu.pcie.replays" Counter "{replay}" ["hw.id" "hw.name"]
        "PCIe transfers that were repeated.";
    GPU_NVLINKS "campanile.gpu.nvlink.links" UpDownCounter "{link}" ["hw.id" "hw.name" "state"]
        "NVLinks of a GPU by state.";
    GPU_XID "campanile.gpu.xid" Counter "{event}" ["hw.id" "hw.name" "xid"]
        "Xid errors that the driver reported, by their number.";
    GPU_PROCESS_MEMORY "campanile.gpu.process.memory" UpDownCounter "By" ["hw.id" "hw.name"]
        "Memory of a GPU that this process uses.";
    // ----- the sampler -----
    SAMPLER_AGE "campanile.sampler.age" Gauge "s" ["source"]
        "Age of the last good sample of a source; its values are reported for three intervals.";
    SAMPLER_DURATION "campanile.sampler.duration" Gauge "s" ["source"]
        "Duration of the last sample of a source.";
    SAMPLER_FAILURES "campanile.sampler.failures" Counter "{sample}" ["source" "part"]
        "Samples of a source that failed, or that failed in part. `part` names the failed part, such as a file.";
}
