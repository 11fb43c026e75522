//! Other spellings of variables.

/// What another spelling stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::config) enum Alias {
    /// The value of a setting.
    Of(&'static str),
    /// The port of an address of this machine.
    Port(&'static str),
    /// A part that does not exist yet.
    Later(&'static str),
}

/// The other spellings. `CAMPANILE__…` wins over them, and they win over the file.
pub(in crate::hub::config) const ALIASES: [(&str, Alias); 8] = [
    ("METRICS_COLLECTION_INTERVAL", Alias::Of("sampler.every")),
    ("METRICS_HTTP_PORT", Alias::Port("metrics.listen")),
    ("METRICS_AGGREGATION_WINDOW_SECONDS", Alias::Later("history")),
    ("METRICS_AGGREGATION_FUNCTIONS", Alias::Later("history")),
    ("METRICS_RETENTION_PERIOD_HOURS", Alias::Later("history")),
    ("METRICS_BUFFER_MAX_SIZE", Alias::Later("history")),
    ("ALERT_EVALUATION_INTERVAL", Alias::Later("alerts")),
    ("ALERT_RETENTION_HOURS", Alias::Later("alerts")),
];
