//! Health: a score and a status for each component, with reasons, and probes. Features add checks, prediction and healing.
//!
//! To read the code, start with `inner.rs`, which takes a snapshot: `evidence.rs` is what is known of a component,
//! `score.rs` judges it, `summary.rs` sums up all components, and `overall.rs` judges the process. `handle.rs` and the files beside it are the public methods.
//!
//! # Why
//! A dashboard of figures leaves the judgement to the person on call. Health judges: each component gets a score from
//! what is measured anyway (its spans, circuit breakers, dead letters and machine), and each point that it lost has a
//! reason with figure, limit and a sentence. Nothing needs to be configured.
//!
//! # Components
//! A component is a name. Spans are counted under the name of their component, calls without a span by a [`Recorder`].
//! A breaker or a queue of the same name belongs to the same component. Samplers report `host`, `gpu/0` and so on.
//! [`Health::register`] adds what cannot be measured: which components are [critical](Component::critical) or
//! [optional](Component::optional), and which [depends on](Component::depends_on) which.
//!
//! ```
//! use campanile::health::{Component, Health, Status};
//! use campanile::CircuitBreaker;
//!
//! # fn main() -> Result<(), campanile::ConfigError> {
//! let health = Health::standalone(); // or `telemetry.health()`, which sees spans too
//! health.register(Component::new("payments").depends_on("db").critical(true))?;
//!
//! let breaker = CircuitBreaker::builder("payments").build()?;
//! breaker.force_open();
//!
//! let snapshot = health.snapshot();
//! let payments = snapshot.component("payments").expect("registered");
//! assert_eq!(payments.status, Status::Unhealthy);
//! assert_eq!(payments.reasons[0].to_string(), "an operator forced the circuit open");
//! assert!(!health.readiness().ready);
//! # Ok(())
//! # }
//! ```
//!
//! # How a score is computed
//! A component starts with a score of 1. Each figure is compared with its limit. Up to half the limit it costs nothing.
//! From there the cost grows: at the limit it just ends `Healthy`, at five times the limit it is the whole
//! [weight](Weights). An open circuit costs its weight at once. The costs of the reasons add up to exactly what the score
//! lost.
//!
//! | reason | limit | weight |
//! |---|---|---|
//! | share of calls of the last minute that failed | 10 % | 1 |
//! | failures in a row, if the component was called in the last minute | 3 | 0.5 |
//! | mean duration of the calls of the last minute | 5 s | 0.5 |
//! | mean duration compared with what is usual for the component | 6 deviations above, and 10 ms | 0.25 |
//! | a check failed | | 0.75 |
//! | a check warns | | 0.25 |
//! | circuit open, or forced open | | 0.75 |
//! | circuit half-open | | 0.25 |
//! | waiting dead letters | 100 | 0.5 |
//! | age of the oldest dead letter | 1 h | 0.25 |
//! | a figure of the machine at its warning threshold | | 0.25 |
//! | a figure of the machine at its critical threshold | | 0.5 |
//!
//! With few calls, chance has a large part. So the share of failures is the lower bound at 99 % confidence (Wilson's
//! interval): 1.4 % for one failure of ten calls, 8 % for a hundred of a thousand. The mean duration is that of the
//! minute less 2.3 standard errors, so that one slow call does not make a slow service. A row of failures counts unless
//! chance explains it: calls that often fail often fail in a row, too.
//!
//! The thresholds of the machine are in the settings of the sampler. Several figures of one machine are likely to have
//! one cause, so together they cost as much as the worst of them alone. The same holds for the checks of one component.
//! A host at its limits becomes degraded or unhealthy; the process stays ready unless the host is registered as critical.
//!
//! A component that fails because of its calls, and relapses within ten minutes, keeps failing for a while after those
//! calls are older than a minute: one minute for each relapse, five at most, unless newer calls succeed. So a component
//! that is called seldom does not flap, and one that gets no calls because the process is not ready is tried again. A
//! check of the component reports earlier, because it needs no calls.
//!
//! Time in which this process did not run (stopped, suspended, or blocked by other code) counts against no component:
//! calls of that time count in the totals only, time limits of checks do not include it, and the last outcome of a check
//! holds until the check has run again. If other code blocks the runtime of a check for a minute, the check is reported
//! as failed to callers on other threads.
//!
//! The score determines the status: above 0.75 `Healthy`, above 0.5 `Degraded`, above 0.2 `Unhealthy`, else `Critical`.
//! The status gets worse at once, but better only when the score is 0.05 above the threshold, so that it does not flap. A
//! component with fewer than five calls in the last minute, no queue, no check that has run and no reason is `Unknown`.
//! All of this can be [configured](Health::configure) at any time.
//!
//! # The whole process
//! The process has the status of its worst critical component, and is at least `Degraded` while any component is that is
//! not optional. With [`unwell_components`](HealthSettings::unwell_components) their number counts too: with 2, one
//! component that is not well makes the process `Degraded`, and several make it `Unhealthy`.
//! [`reason`](HealthSnapshot::reason) names them.
//!
//! # Root causes
//! A component that is not healthy lists in [`because_of`](ComponentHealth::because_of) the root causes among its
//! dependencies: those that are not healthy although all that they depend on are. The search passes through components
//! that are `Unknown`. [`root_causes`](HealthSnapshot::root_causes) lists those of the whole process.
//!
//! # Probes
//! Over HTTP (feature `http`), [`Health::http_service`] answers `/livez`, `/startupz`, `/readyz` and `/healthz`. Liveness
//! depends on nothing: a restart does not repair a dependency. The process is not ready while it starts or drains, while a
//! critical component fails, or while a critical component without calls depends on one that fails. Over gRPC (feature
//! `grpc`), `Health::grpc_service` answers the same through `grpc.health.v1`, and streams changes.
//!
//! - The start is complete when every [gate](Health::starting) is done and every check of a critical component has passed
//!   once.
//! - [`Health::drain`] makes the process not ready any more. A shutdown (feature `serve`) does so first.
//! - No probe runs a check, or takes a snapshot more often than [`HealthSettings::cached_for`] allows.
#![cfg_attr(feature = "checks", doc = include_str!("check/guide.md"))]
#![cfg_attr(feature = "heal", doc = include_str!("heal/guide.md"))]
#![cfg_attr(feature = "predict", doc = include_str!("predict/figures.md"))]

#[cfg(feature = "checks")]
mod awake;
mod cache;
#[cfg(feature = "checks")]
mod check;
mod check_reasons;
mod check_report;
mod component;
mod costs;
mod evidence;
mod handle;
#[cfg(feature = "checks")]
mod handle_checks;
#[cfg(feature = "heal")]
mod handle_healing;
#[cfg(feature = "heal")]
mod heal;
mod hold;
mod inner;
mod ledger;
mod lifecycle;
mod machine_reasons;
#[cfg(feature = "predict")]
mod measures;
mod metrics;
mod numbers;
mod outlook;
mod overall;
mod overview;
mod overview_text;
mod points;
#[cfg(feature = "predict")]
mod predict;
mod probe;
mod reason;
mod recorder;
mod root_causes;
mod rounds;
mod score;
mod settings;
mod snapshot;
mod states;
mod status;
mod summary;
mod telemetry;
mod texts;

#[cfg(all(feature = "checks", feature = "http"))]
pub(crate) use check::status_ranges as statuses;
#[cfg(feature = "checks")]
#[cfg_attr(docsrs, doc(cfg(feature = "checks")))]
pub use check::{
    BlockingCheck, Check, CheckHandle, Every, Finding, FirstOf, PoolCheck, PoolState, ServiceCheck,
};
#[cfg(all(feature = "checks", feature = "grpc"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "checks", feature = "grpc"))))]
pub use check::{GrpcCheck, GrpcCheckSettings};
#[cfg(all(feature = "checks", feature = "http"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "checks", feature = "http"))))]
pub use check::{HttpCheck, HttpCheckSettings, TcpCheck, TcpCheckSettings};
#[cfg(all(feature = "checks", feature = "redis"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "checks", feature = "redis"))))]
pub use check::{RedisCheck, RedisCheckBuilder};
#[cfg(all(feature = "checks", feature = "sqlite"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "checks", feature = "sqlite"))))]
pub use check::{SqliteCheck, SqliteCheckSettings};
pub use check_report::{CheckOutcome, CheckReport};
pub use component::Component;
pub use handle::Health;
#[cfg(feature = "heal")]
#[cfg_attr(docsrs, doc(cfg(feature = "heal")))]
pub use heal::{
    Action, Healing, HealingHandle, HealingLimits, HealingOutcome, HealingRecord, HealingSettings,
    HealingStatus, When, Withheld,
};
pub use outlook::{Anomaly, Forecast, Outlook, RiskReason, VitalSign};
pub use overview::Overview;
#[cfg(feature = "predict")]
#[cfg_attr(docsrs, doc(cfg(feature = "predict")))]
pub use predict::PredictSettings;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use probe::HealthService;
pub use probe::{Readiness, StartupGate};
pub use reason::{Reason, ReasonKind};
pub use recorder::Recorder;
pub use settings::{HealthSettings, Thresholds, Weights};
pub use snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
pub use status::Status;
