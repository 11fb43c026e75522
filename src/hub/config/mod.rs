//! One configuration: defaults, preset, file, environment, arguments.
//!
//! To read the code, start with `sections/settings.rs`, the whole tree as types, then `layers.rs`, which reads and merges
//! the layers of `sources/` into a tree of `tree/`. `typed.rs` makes settings of it, with `ranges.rs`. `handle.rs` holds them,
//! `changes.rs` compares two of them, `show.rs` and `template.rs` write them.
//!
//! # Layers
//! A later layer wins over an earlier one, setting by setting:
//!
//! 1. the defaults;
//! 2. the [preset](Preset), `CAMPANILE_PRESET`: `production` or `development`;
//! 3. the file, `CAMPANILE_CONFIG`: TOML or JSON, at most 1 MiB;
//! 4. the environment: `CAMPANILE__DEPENDENCY__PAYMENTS__RETRY__MAX_ATTEMPTS=2`, in capital letters, with two underscores
//!    between the parts. It cannot set lists, and it cannot address names with dots, spaces or capital letters in them;
//! 5. the arguments: `dependency.payments.retry.max_attempts=2`.
//!
//! Unknown keys are refused, with the nearest known one. All faults are reported at once, each with its file and line, its
//! variable or its argument.
//!
//! `false` turns off what is on by default: `breaker = false` in `[dependency.payments]`, `budget = false` in
//! `[dependency.payments.retry]`.
//!
//! Relative paths are relative to the working directory of the process. Texts, numbers and durations may be written as in
//! the documentation of their setting: `campanile config template --full` writes a file with all of them, `campanile config
//! check` reports all that is wrong with one, and `campanile config show --origin` says where each value is from.
//!
//! A text may be `{ file = "/run/secrets/token" }` or `{ env = "TOKEN" }`. Such secrets are never shown, and neither are
//! headers, values under the names of secrets, and passwords in URLs.
//!
//! # Other spellings
//! `CAMPANILE__…` wins over these variables, and they win over the file:
//!
//! | variable | setting |
//! |---|---|
//! | `METRICS_COLLECTION_INTERVAL` (seconds) | `sampler.every` |
//! | `METRICS_HTTP_PORT` | `metrics.listen`, on 127.0.0.1 |
//! | `METRICS_AGGREGATION_WINDOW_SECONDS`, `METRICS_AGGREGATION_FUNCTIONS`, `METRICS_RETENTION_PERIOD_HOURS`, `METRICS_BUFFER_MAX_SIZE` | none yet: a warning says so |
//! | `ALERT_EVALUATION_INTERVAL`, `ALERT_RETENTION_HOURS` | none yet: a warning says so |

mod changes;
mod explanations;
mod fault;
mod handle;
mod layers;
mod loader;
mod mask;
mod nearest;
mod ranges;
mod sections;
mod shape;
mod show;
mod sources;
mod state;
mod template;
mod toml_text;
mod tree;
mod typed;

pub use changes::{Change, Changes};
pub use fault::{ConfigErrors, ConfigFault};
pub use handle::Config;
pub use loader::ConfigLoader;
pub use sections::{
    DatabaseSection, DependencySection, EndpointSection, LettersSection, LoggingSection, MetricsSection,
    ServerSection, Settings, WorkerSection,
};
pub(super) use shape::{NAMES, is_name};
pub use sources::Preset;
pub use template::template;
