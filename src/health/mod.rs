//! How each component is doing, and why.
//!
//! # Why
//! A dashboard of figures leaves the judging to whoever is awake. Health judges: each component gets a score
//! from what flows anyway (its spans, circuit breakers, dead letters and machine), and each point that it lost comes
//! with the figure, the limit and a sentence. Nothing has to be set up to see it, and nothing is hidden in it.
//!
//! # Components
//! A component is a name. Spans are counted under theirs, calls without a span by a [`Recorder`], and a breaker or a
//! queue of the same name speaks for the same component. A sampler speaks for `host`, and for `gpu/0` and so on.
//! [`Health::register`] adds what cannot be seen from there: which are [critical](Component::critical) or
//! [optional](Component::optional), and who [depends on](Component::depends_on) whom.
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
//! # How a score comes about
//! A component starts with a score of 1. Each figure is compared with its limit: up to half of it, it costs
//! nothing; from there it costs ever more; at the limit just enough to be healthy no more; at five times the
//! limit its whole [weight](Weights). An open circuit costs its weight at once. The costs of the reasons add up
//! to what the score lost, to the last bit.
//!
//! | reason | limit | weight |
//! |---|---|---|
//! | share of calls of the last minute that failed | 10 % | 1 |
//! | failures in a row, if it was called in the last minute | 3 | 0.5 |
//! | mean duration of the calls of the last minute | 5 s | 0.5 |
//! | mean duration next to what is usual for the component | 6 deviations above, and 10 ms | 0.25 |
//! | a check failed | | 0.75 |
//! | a check warns | | 0.25 |
//! | circuit open, or forced open | | 0.75 |
//! | circuit half-open | | 0.25 |
//! | dead letters that wait | 100 | 0.5 |
//! | age of the oldest letter | 1 h | 0.25 |
//! | a figure of the machine at its warning threshold | | 0.25 |
//! | a figure of the machine at its critical threshold | | 0.5 |
//!
//! Few calls say little. So the share of failures is the least that they speak for: the lower end of Wilson's interval
//! of 99 %, which is 1.4 % for one failure of ten and 8 % for a hundred of a thousand. The mean duration is that of the
//! minute less 2.3 standard errors, so that one call that hangs is no slow service. A row of failures counts when chance
//! seldom brings one as long among as many calls that fail as often as the others did.
//!
//! The sampler's settings hold the thresholds of the machine. What is wrong with one machine tends to have one cause, so
//! that the figures of one component cost no more together than the worst of them alone; its checks likewise. A host at
//! its limits is degraded or unhealthy, and serves; it takes readiness away only when it is registered as critical.
//!
//! A component that fails because of its calls, and came back to that within ten minutes, fails for a while after those
//! calls have left the minute: a minute for each time that it came back, five at most, unless later calls say otherwise. So
//! a component that is called seldom does not flap, and one that gets no calls since the process is not ready is tried
//! again. A check of the component tells sooner, for it needs no calls.
//!
//! Time in which this process did not run, since it was stopped, suspended, or kept from its runtime by other code, is held
//! against no component: calls that were under way count for the totals alone, time limits of checks do not count it, and
//! until a check has run again its last verdict stands. Where other code keeps the runtime of a check busy, those who ask
//! from another thread are told so after a minute.
//!
//! The score decides the status: above 0.75 `Healthy`, above 0.5 `Degraded`, above 0.2 `Unhealthy`, else
//! `Critical`. A better status than the last one takes 0.05 more than that, a worse one is had at once: a score that
//! moves about a threshold does not make the status do so. A component with fewer than five calls in the last minute, no
//! queue, no check that has run, and nothing against it is `Unknown`. All of it can be [configured](Health::configure),
//! at any time.
//!
//! # Root causes
//! A component that is not healthy while one that it depends on is not either names that one in
//! [`because_of`](ComponentHealth::because_of), and [`root_causes`](HealthSnapshot::root_causes) names those at the
//! bottom, first of all. Components of which nothing is known are seen through.
//!
//! # Probes
//! Over HTTP (feature `http`), [`Health::http_service`] answers `/livez`, `/startupz`, `/readyz` and `/healthz`. Liveness
//! depends on nothing: restarting a process does not mend what it calls. Readiness is withdrawn while the process
//! starts, while a critical component fails, or was never called while one that it depends on fails, which it names, and for good when the process is on its way out. Over gRPC
//! (feature `grpc`), `Health::grpc_service` says the same by `grpc.health.v1`, and tells those who watch.
//!
//! - The start is over when every [gate](Health::starting) is done and every check of a critical component has passed
//!   once.
//! - The way out is [`Health::drain_after`]: nobody shall send any more, then a grace period, then the server ends.
//! - No probe makes a check run, or a snapshot more often than [`HealthSettings::cached_for`] says.
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

#[cfg(feature = "checks")]
#[cfg_attr(docsrs, doc(cfg(feature = "checks")))]
pub use check::{
    BlockingCheck, Check, CheckHandle, Every, Finding, FirstOf, Pool, PoolCheck, PoolCheckBuilder,
    PoolCheckSettings, PoolState, ServiceCheck,
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
#[cfg(feature = "predict")]
#[cfg_attr(docsrs, doc(cfg(feature = "predict")))]
pub use predict::PredictSettings;
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use probe::GrpcHealth;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use probe::HealthService;
pub use probe::{Missing, Readiness, Startup, StartupGate};
pub use reason::{Reason, ReasonKind};
pub use recorder::Recorder;
pub use settings::{HealthSettings, Thresholds, Weights};
pub use snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
pub use status::Status;
