//! What a healing does.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tower::Service;

use super::command::Program;
use super::record::HealingOutcome;
use crate::base::error::ConfigError;
use crate::base::outcome::Timed;
use crate::base::panics::Panic;
use crate::dead_letter::{DeadLetterQueue, Judge, Redrivable, Redrive, RedriveReport};
use crate::health::awake::within;
use crate::health::check::Finding;
use crate::layers::breaker::{CircuitBreaker, CircuitState};

/// Bytes of a text that are kept.
pub(super) const LONGEST: usize = 4 * 1_024;

type Begin = dyn Fn() -> Pin<Box<dyn Future<Output = Finding> + Send>> + Send + Sync;

/// What a healing does: a function, a command, or something about a circuit or a queue.
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
    Function { what: Cow<'static, str>, begin: Arc<Begin>, usable: Result<(), ConfigError> },
    Command(Program),
}

impl Action {
    /// An async function. What it ends in is read as that of a check is: `()` is done, a `Result` is done or its error
    /// is why not, a [`Finding`] is itself.
    ///
    /// It runs in a task of its own. When its time is up it is dropped at its next `await`; the healing does not run
    /// again before it is gone.
    pub fn new<F, Fut>(action: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Into<Finding>,
    {
        Self::named("a function", action)
    }

    /// A program and its arguments, each as it is: no shell sees them.
    ///
    /// Its environment is `PATH`, `HOME` and `LANG` of this process (on Windows `SYSTEMROOT` too), so that no secret of
    /// this process gets into it, and on Unix a `CAMPANILE_HEALING` that no other command has: see [`env`](Self::env) and [`inherit_env`](Self::inherit_env). It inherits the working
    /// directory, reads nothing, and what it writes is kept from the end on, up to 4 KiB. It is done when it ends with
    /// success. When its time is up it is killed.
    ///
    /// On Unix whatever it started is killed when it ends, as long as that has not left its process group. What is to run
    /// on has to leave it, as `setsid` and service managers do.
    ///
    /// When its time is up, or its runtime ends, it is killed with its group, and on Linux with what has left the group: the
    /// processes that come from it or have its `CAMPANILE_HEALING` in their environment. Not ended are those that have
    /// neither, such as what a service manager, `sudo` or `ssh` starts for it, and those of another user.
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

    /// Sets a variable in the environment of a [command](Self::command). A program without a slash in its name is looked
    /// for in `PATH`, in the one that is set here if there is one. An action that is no command is refused with it by
    /// [`Health::heal`](crate::Health::heal).
    pub fn env(self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.with_program(|program| program.variables.push((name.into(), value.into())))
    }

    /// Gives a [command](Self::command) the whole environment of this process. An action that is no command is refused
    /// with it by [`Health::heal`](crate::Health::heal).
    pub fn inherit_env(self) -> Self {
        self.with_program(|program| program.inherits = true)
    }

    fn with_program(mut self, change: impl FnOnce(&mut Program)) -> Self {
        match &mut self.0 {
            Kind::Command(program) => change(program),
            Kind::Function { what, usable, .. } => {
                *usable = Err(ConfigError::new("env", what, "only a command has an environment of its own"));
            }
        }
        self
    }

    /// Opens the circuit until somebody changes it. What an operator [disabled](CircuitBreaker::disable) or put to
    /// [metrics only](CircuitBreaker::metrics_only) is left alone.
    ///
    /// The component is unhealthy from then on, so that to look whether it helped says no: see
    /// [`Healing::verify`](super::Healing::verify).
    pub fn force_open(breaker: &CircuitBreaker) -> Self {
        let breaker = breaker.clone();
        Self::named("force a circuit open", move || {
            let changed = unless_set(&breaker, CircuitBreaker::force_open);
            async move { changed }
        })
    }

    /// Makes the circuit as if new: closed, with an empty window. One that an operator forced open, disabled or put
    /// to metrics only is left alone.
    pub fn reset(breaker: &CircuitBreaker) -> Self {
        let breaker = breaker.clone();
        Self::named("reset a circuit", move || {
            let changed = unless_set(&breaker, CircuitBreaker::reset);
            async move { changed }
        })
    }

    /// Sends dead letters again: see [`DeadLetterQueue::redrive`]. It is done unless the store fails or the redrive
    /// stops early; letters that were sent and failed wait as before, and speak for themselves.
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
        Req: Redrivable<Via> + Send,
        Via: Judge<S::Response, S::Error>,
    {
        let usable = redrive.validate().map_err(|error| error.within("redrive"));
        let queue = queue.clone();
        let begin = move || -> Pin<Box<dyn Future<Output = Finding> + Send>> {
            let (queue, service, redrive) = (queue.clone(), service.clone(), redrive.clone());
            Box::pin(async move {
                match queue.redrive::<S, Req, Via>(service, redrive).await {
                    Ok(report) => said_by(&report),
                    failed => failed.map(|_| ()).into(),
                }
            })
        };
        Self(Kind::Function { what: "redrive dead letters".into(), begin: Arc::new(begin), usable })
    }

    fn named<F, Fut>(what: &'static str, action: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Into<Finding>,
    {
        let begin = move || -> Pin<Box<dyn Future<Output = Finding> + Send>> {
            let action = action();
            Box::pin(async move { action.await.into() })
        };
        Self(Kind::Function { what: what.into(), begin: Arc::new(begin), usable: Ok(()) })
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match &self.0 {
            Kind::Function { usable, .. } => usable.clone().map_err(|error| error.within("healing")),
            Kind::Command(program) => program.validate(),
        }
    }

    /// Does it, for no longer than `limit`.
    pub(super) async fn run(&self, limit: Duration) -> Done {
        match &self.0 {
            Kind::Command(program) => program.run(limit).await,
            Kind::Function { begin, .. } => {
                let begin = Arc::clone(begin);
                // A task of its own: its panic is an answer too.
                run_task(Timed::spawn(async move { begin().await }), limit).await
            }
        }
    }
}

async fn run_task(task: Timed<Finding>, limit: Duration) -> Done {
    let mut task = AbortOnDrop(task);
    match within(limit, &mut task.0.task).await.ended {
        Some(Ok(Finding::Pass)) => Done::default(),
        Some(Ok(Finding::Warn(said))) => Done { output: Some(said), ..Done::default() },
        Some(Ok(Finding::Fail(why))) => Done::failed(why),
        Some(Err(broken)) => {
            Done { outcome: Err(HealingOutcome::Panicked(said_in(broken))), ..Done::default() }
        }
        None => {
            task.0.give_up();
            Done { outcome: Err(HealingOutcome::TimedOut), rest: Some(task), ..Done::default() }
        }
    }
}

/// A task that is of no use without whoever waits for it.
pub(super) struct AbortOnDrop(Timed<Finding>);

impl AbortOnDrop {
    /// Waits for what is left of an action in a task of its own.
    pub(super) fn wait(rest: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Timed::spawn(async {
            rest.await;
            Finding::Pass
        }))
    }

    /// Waits until nothing of it runs any more.
    pub(super) async fn gone(mut self) {
        if let Err(broken) = (&mut self.0.task).await {
            drop(Panic::of_task(broken));
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}

/// What a panic said.
pub(super) fn said_in(broken: JoinError) -> String {
    Panic::of_task(broken).map_or_else(
        || "the runtime ended".to_owned(),
        |panic| panic.said().unwrap_or("something that is no text").to_owned(),
    )
}

/// What came of an action.
pub(super) struct Done {
    pub(super) outcome: Result<(), HealingOutcome>,
    pub(super) output: Option<String>,
    pub(super) exit_code: Option<i32>,
    /// What still runs though its time is up.
    pub(super) rest: Option<AbortOnDrop>,
}

impl Default for Done {
    fn default() -> Self {
        Self { outcome: Ok(()), output: None, exit_code: None, rest: None }
    }
}

impl Done {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self { outcome: Err(HealingOutcome::Failed(why.into())), ..Self::default() }
    }
}

fn unless_set(breaker: &CircuitBreaker, change: impl Fn(&CircuitBreaker)) -> Result<(), &'static str> {
    match breaker.state() {
        CircuitState::ForcedOpen => {
            Err("somebody forced the circuit open, and it stays so until somebody changes it")
        }
        CircuitState::Disabled | CircuitState::MetricsOnly => {
            Err("somebody switched the circuit off, and it stays so until somebody changes it")
        }
        _ => {
            change(breaker);
            Ok(())
        }
    }
}

fn said_by(report: &RedriveReport) -> Finding {
    let RedriveReport { redriven, failed, .. } = report;
    let said = format!("{redriven} letters were sent, {failed} failed again");
    match &report.stopped {
        None => Finding::Warn(said),
        Some(reason) => Finding::Fail(format!("{said}; it stopped early: {reason:?}")),
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Function { what, .. } => f.debug_tuple("Action").field(what).finish(),
            // Arguments and variables may hold secrets.
            Kind::Command(program) => f.debug_tuple("Action").field(&program.arguments.first()).finish(),
        }
    }
}
