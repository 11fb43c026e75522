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
//! The sampler's settings hold the thresholds of the machine. What is wrong with one machine tends to have one cause, so
//! that the figures of one component cost no more together than the worst of them alone; its checks likewise. A host at
//! its limits is degraded or unhealthy, and serves; it takes readiness away only when it is registered as critical.
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
//! # Checks
//! What nobody calls leaves no trace. [`Health::check`] asks a component [every so often](Every): by any async function,
//! [service](ServiceCheck) or [primary with alternatives](FirstOf). Each check has a task, a rhythm and a timeout of its
//! own, so that one that hangs or panics is told as such and holds nobody up. What it [found](CheckReport) last is kept:
//! no probe makes a check run, [`Health::run_check`] does. [`CheckExt`] gives any of them limits for how long it may take.
//!
//! ```
//! use campanile::health::{CheckExt, Component, Every, Health};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), campanile::ConfigError> {
//! # async fn ping() -> Result<(), std::io::Error> { Err(std::io::Error::other("connection refused")) }
//! let health = Health::standalone();
//! health.register(Component::new("db").critical(true))?;
//! let ping = (|| async { ping().await }).warn_after(Duration::from_millis(200));
//! health.check("db", Every::seconds(30).timeout(Duration::from_secs(2)), ping)?;
//!
//! health.run_checks().await; // they run by themselves, too
//! assert_eq!(health.readiness().missing[0].reasons, ["the check failed: connection refused"]);
//! # Ok(())
//! # }
//! ```
//!
//! ## What can be checked
//! Besides those, each by a type that says what it found in a line and shows no password:
//!
//! | what | by | feature |
//! |---|---|---|
//! | an endpoint over HTTP: status, text, JSON | [`HttpCheck`] | `http`, and `tls` for `https:` |
//! | a port over TCP, and what is said there first | [`TcpCheck`] | `http` |
//! | a server of `grpc.health.v1` | [`GrpcCheck`] | `grpc`, and `tls` for `https:` |
//! | a pool of connections: a query, and how full it is | [`PoolCheck`] over your [`Pool`] | |
//! | Redis, or a cluster of it | [`RedisCheck`] | `redis` |
//! | a file of SQLite | [`SqliteCheck`] | `sqlite` |
//! | a function that blocks | [`BlockingCheck`] | |
//! | the store of dead letters | a [`DeadLetterQueue`](crate::DeadLetterQueue) itself | |
//!
//! Those that are given an address connect anew each time, since what they are to find out is whether a caller who
//! comes now is served. Each has a timeout of its own, 4 s unless set, below the 5 s of [`Every::timeout`]: what it
//! tells names the step that took so long. `examples/postgres_health.rs` checks a pool of Postgres.
//!
//! # Probes
//! Over HTTP (feature `http`), [`Health::http_service`] answers `/livez`, `/startupz`, `/readyz` and `/healthz`. Liveness
//! depends on nothing: restarting a process does not mend what it calls. Readiness is withdrawn while the process
//! starts, while a critical component fails, which it names, and for good when the process is on its way out. Over gRPC
//! (feature `grpc`), `Health::grpc_service` says the same by `grpc.health.v1`, and tells those who watch.
//!
//! - The start is over when every [gate](Health::starting) is done and every check of a critical component has passed
//!   once.
//! - The way out is [`Health::drain_after`]: nobody shall send any more, then a grace period, then the server ends.
//! - No probe makes a check run, or a snapshot more often than [`HealthSettings::cached_for`] says.
//!
//! # Healing
//! What helps when a person does it at night may be done by the program: [`Health::heal`] binds an [`Action`] to a
//! component and to what calls for it. It is held to limits, looked after and recorded: see [`Healing`].
//!
#![doc = include_str!("predict/figures.md")]

mod blame;
mod cache;
mod check;
mod checked;
mod component;
mod costs;
mod handle;
mod heal;
mod ledger;
mod look;
mod machine;
mod measures;
mod metrics;
mod numbers;
mod of_telemetry;
mod predict;
mod probe;
mod reason;
mod recorder;
mod round;
mod score;
mod settings;
mod snapshot;
mod status;

pub use check::{
    BlockingCheck, Check, CheckExt, CheckHandle, CheckOutcome, CheckReport, Every, Finding, FirstOf,
    IntoFinding, Limited, Pool, PoolCheck, PoolCheckBuilder, PoolCheckSettings, ServiceCheck,
};
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use check::{GrpcCheck, GrpcCheckBuilder, GrpcCheckSettings};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use check::{
    HttpCheck, HttpCheckBuilder, HttpCheckMethod, HttpCheckSettings, Statuses, TcpCheck, TcpCheckBuilder,
    TcpCheckSettings,
};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use check::{RedisCheck, RedisConnectionCheck};
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use check::{SqliteCheck, SqliteCheckBuilder, SqliteCheckSettings};
pub use component::Component;
pub use handle::Health;
pub use heal::{
    Action, Healing, HealingHandle, HealingLimits, HealingOutcome, HealingRecord, HealingSettings,
    HealingStatus, When, Withheld,
};
pub use predict::{Anomaly, Forecast, Outlook, PredictSettings, RiskReason, VitalSign};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use probe::HealthService;
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use probe::{GrpcHealth, Watching};
pub use probe::{Missing, Readiness, Startup, StartupGate};
pub use reason::{Reason, ReasonKind};
pub use recorder::Recorder;
pub use settings::{HealthSettings, Thresholds, Weights};
pub use snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
pub use status::Status;
