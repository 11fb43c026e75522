//! The action of a healing.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tower::Service;

use super::command::Program;
use super::done::{Done, Leftover, panic_message};
use super::record::HealingOutcome;
use crate::base::error::ConfigError;
use crate::base::outcome::Timed;
use crate::dead_letter::{DeadLetterQueue, Redrivable, Redrive, RedriveReport, StopReason};
use crate::health::awake::within;
use crate::health::check::Finding;
use crate::layers::breaker::{CircuitBreaker, CircuitState};

type Function = dyn Fn() -> Pin<Box<dyn Future<Output = Finding> + Send>> + Send + Sync;

/// The action of a [`Healing`](super::Healing): a function, a command, or an operation on a circuit or a queue.
///
/// # Example
/// ```
/// use campanile::CircuitBreaker;
/// use campanile::health::Action;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let breaker = CircuitBreaker::builder("payments").build()?;
/// let restart = Action::command(["systemctl", "restart", "worker"]);
/// let reset = Action::reset(&breaker);
/// let reload = Action::new(|| async { std::fs::read("settings.json").map(drop) });
/// # let _ = (restart, reset, reload);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Action(Kind);

#[derive(Clone)]
enum Kind {
    Function { name: Cow<'static, str>, call: Arc<Function>, valid: Result<(), ConfigError> },
    Command(Program),
}

impl Action {
    /// Calls an async function. Its output converts into a [`Finding`], as that of a check does: `()` and `Ok` succeed, and
    /// `Err` fails with the error as the reason. The text of [`Finding::Warn`] becomes the output of the record.
    ///
    /// The function runs in its own task. At its [timeout](super::HealingSettings::timeout) it is dropped at its next
    /// `await`, and the healing does not start again before that.
    pub fn new<F, Fut>(action: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Into<Finding>,
    {
        Self::named("a function", action)
    }

    /// Runs a program with its arguments, without a shell. It succeeds when its exit status does.
    ///
    /// The program gets `PATH`, `HOME` and `LANG` of this process (on Windows also `SYSTEMROOT`), and no other variable, so
    /// that it sees no secret of this process: see [`env`](Self::env) and [`inherit_env`](Self::inherit_env). On Unix it
    /// also gets a unique `CAMPANILE_HEALING`. It inherits the working directory, and its standard input is empty. The
    /// record keeps the last 4 KiB of its output.
    ///
    /// On Unix, the processes that it started are killed when it ends, unless they have left its process group. A process
    /// that is to stay must leave the group, as `setsid` and service managers do.
    ///
    /// At the [timeout](super::HealingSettings::timeout), or when the Tokio runtime ends, the program and its process group
    /// are killed. On Linux, so are processes that left the group, if they descend from the program or have its
    /// `CAMPANILE_HEALING` in their environment. Other processes survive, such as those that a service manager, `sudo` or
    /// `ssh` started for it, and those of another user.
    ///
    /// ```
    /// # use campanile::health::Action;
    /// let action = Action::command(["systemctl", "--user", "restart", "worker"])
    ///     .env("XDG_RUNTIME_DIR", "/run/user/1000");
    /// # let _ = action;
    /// ```
    pub fn command<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self(Kind::Command(Program { arguments, ..Program::default() }))
    }

    /// Sets an environment variable of a [command](Self::command). A program without a slash in its name is searched in
    /// `PATH`, also in one that is set here. [`Health::heal`](crate::Health::heal) refuses it on other actions.
    pub fn env(self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.with_program(|program| program.variables.push((name.into(), value.into())))
    }

    /// Gives a [command](Self::command) the whole environment of this process.
    /// [`Health::heal`](crate::Health::heal) refuses it on other actions.
    pub fn inherit_env(self) -> Self {
        self.with_program(|program| program.inherits = true)
    }

    fn with_program(mut self, change: impl FnOnce(&mut Program)) -> Self {
        match &mut self.0 {
            Kind::Command(program) => change(program),
            Kind::Function { name, valid, .. } => {
                *valid = Err(ConfigError::because(
                    "env",
                    name,
                    "only an `Action::command` has environment variables",
                ));
            }
        }
        self
    }

    /// Forces the circuit open, until an operator changes it. It fails if an operator has
    /// [disabled](CircuitBreaker::disable) the circuit or set it to [metrics only](CircuitBreaker::metrics_only).
    ///
    /// The component is unhealthy while its circuit is open, so the verification would fail: switch it off by
    /// [`Healing::verify`](super::Healing::verify).
    pub fn force_open(breaker: &CircuitBreaker) -> Self {
        let breaker = breaker.clone();
        Self::named("force a circuit open", move || {
            let changed = unless_overridden(&breaker, CircuitBreaker::force_open);
            async move { changed }
        })
    }

    /// Resets the circuit: closed, with an empty window. It fails if an operator has forced the circuit open, disabled it
    /// or set it to metrics only.
    pub fn reset(breaker: &CircuitBreaker) -> Self {
        let breaker = breaker.clone();
        Self::named("reset a circuit", move || {
            let changed = unless_overridden(&breaker, CircuitBreaker::reset);
            async move { changed }
        })
    }

    /// Redrives dead letters: see [`DeadLetterQueue::redrive`]. It fails when the store fails or the redrive stops early.
    /// Letters that fail again stay in the queue and do not fail the action.
    ///
    /// # Example
    /// ```
    /// use campanile::health::Action;
    /// use campanile::{DeadLetterQueue, Redrive};
    /// use tower::service_fn;
    ///
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let service = service_fn(|order: u32| async move { Ok::<_, tower::BoxError>(order) });
    /// let action = Action::redrive(&queue, service, Redrive::all().rate(20));
    /// # let _ = action;
    /// ```
    pub fn redrive<S, Req, Via>(queue: &DeadLetterQueue, service: S, redrive: Redrive) -> Self
    where
        S: Service<Req, Future: Send> + Clone + Send + Sync + 'static,
        Req: Redrivable<Via, S::Response, S::Error> + Send,
    {
        let valid = redrive.validate().map_err(|error| error.within("redrive"));
        let queue = queue.clone();
        let call = move || -> Pin<Box<dyn Future<Output = Finding> + Send>> {
            let (queue, service, redrive) = (queue.clone(), service.clone(), redrive.clone());
            Box::pin(async move {
                match queue.redrive::<S, Req, Via>(service, redrive).await {
                    Ok(report) => summary(&report),
                    failed => failed.map(|_| ()).into(),
                }
            })
        };
        Self(Kind::Function { name: "redrive dead letters".into(), call: Arc::new(call), valid })
    }

    fn named<F, Fut>(name: &'static str, action: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Into<Finding>,
    {
        let call = move || -> Pin<Box<dyn Future<Output = Finding> + Send>> {
            let action = action();
            Box::pin(async move { action.await.into() })
        };
        Self(Kind::Function { name: name.into(), call: Arc::new(call), valid: Ok(()) })
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match &self.0 {
            Kind::Function { valid, .. } => valid.clone().map_err(|error| error.within("healing")),
            Kind::Command(program) => program.validate(),
        }
    }

    /// Runs the action for at most `limit`.
    pub(super) async fn run(&self, limit: Duration) -> Done {
        match &self.0 {
            Kind::Command(program) => program.run(limit).await,
            Kind::Function { call, .. } => {
                let call = Arc::clone(call);
                // In its own task, so that a panic is a result too.
                run_task(Timed::spawn(async move { call().await }), limit).await
            }
        }
    }
}

async fn run_task(task: Timed<Finding>, limit: Duration) -> Done {
    let mut task = Leftover(task);
    match within(limit, &mut task.0.task).await.ended {
        Some(Ok(Finding::Pass)) => Done::default(),
        Some(Ok(Finding::Warn(output))) => Done { output: Some(output), ..Done::default() },
        Some(Ok(Finding::Fail(reason))) => Done::failed(reason),
        Some(Err(error)) => {
            Done { outcome: Err(HealingOutcome::Panicked(panic_message(error))), ..Done::default() }
        }
        None => {
            task.0.give_up();
            Done { outcome: Err(HealingOutcome::TimedOut), leftover: Some(task), ..Done::default() }
        }
    }
}

/// Changes the circuit, unless an operator has overridden its state.
fn unless_overridden(breaker: &CircuitBreaker, change: impl Fn(&CircuitBreaker)) -> Result<(), &'static str> {
    match breaker.state() {
        CircuitState::ForcedOpen => Err(
            "an operator forced the circuit open: healing leaves it open until an operator closes or resets it",
        ),
        CircuitState::Disabled | CircuitState::MetricsOnly => Err(
            "an operator disabled the circuit: healing leaves it disabled until an operator closes or resets it",
        ),
        _ => {
            change(breaker);
            Ok(())
        }
    }
}

fn summary(report: &RedriveReport) -> Finding {
    let RedriveReport { redriven, failed, .. } = report;
    let summary = format!("{redriven} letters were redriven, {failed} failed again");
    match &report.stopped {
        None => Finding::Warn(summary),
        Some(reason) => Finding::Fail(format!("{summary}; the redrive stopped early: {}", stopped(reason))),
    }
}

/// Why a redrive stopped, as a text.
fn stopped(reason: &StopReason) -> String {
    match reason {
        StopReason::Failures(failures) => format!("{failures} letters failed in a row"),
        StopReason::FailureRate { failed, sent } => format!("{failed} of {sent} letters failed"),
        StopReason::CircuitOpen(_) => "a circuit breaker rejected letters for too long".to_owned(),
        StopReason::NotReady(error) => format!("the service was not ready: {error}"),
        StopReason::Asked => "it was stopped by `stop_redrives`".to_owned(),
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Function { name, .. } => f.debug_tuple("Action").field(name).finish(),
            // Arguments and variables may hold secrets.
            Kind::Command(program) => f.debug_tuple("Action").field(&program.arguments.first()).finish(),
        }
    }
}
