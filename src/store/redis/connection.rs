//! The way to Redis: one connection that all share, made anew when it is lost.
//!
//! Every call ends within the response timeout, whatever happens: it waits for a connection, asks, and asks again where
//! the answer was lost, since every script can run twice. Once Redis has been away for a while, calls fail at once
//! until an attempt succeeds, so that nobody waits for what is known to fail.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{self, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::scripts::Call;
use super::server;
use super::target::{Connection, Target};
use crate::base::sync::Mutex;
use crate::store::StoreError;
use crate::store::error::Kind;
use crate::store::steady::{Reading, Steady};

/// Calls on their way at one time; those beyond wait, within their own timeout.
const CALLS: usize = 256;

/// The time between two attempts to connect: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// After so long, calls do not wait for Redis to come back.
const AWAY: Duration = Duration::from_secs(1);

/// How soon to ask again when Redis says that it is not ready.
const PAUSE: Duration = Duration::from_millis(10);

/// How a script says that the format of a queue is of a later version; that version and the one it knows follow.
const FORMAT: &str = "FORMAT";

#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    timeout: Duration,
    replicas: u32,
    calls: Semaphore,
    /// The clock of the server.
    steady: Steady,
    state: Mutex<State>,
    /// Held by the one that connects.
    connecting: sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Connection>,
    /// Grows with each connection, so that nobody drops a newer one than the one that failed.
    generation: u64,
    failed: Option<Failed>,
    /// Whether the server was looked at.
    checked: bool,
}

/// Attempts to connect that failed in a row.
#[derive(Debug)]
struct Failed {
    error: StoreError,
    since: Instant,
    until: Instant,
    wait: Duration,
}

/// How far a call has come, told when its time is over.
#[derive(Debug, Default)]
struct Progress {
    generation: Option<u64>,
    last: Option<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("connected", &self.current.is_some())
            .field("generation", &self.generation)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration, replicas: u32) -> Self {
        Self {
            target,
            timeout,
            replicas,
            calls: Semaphore::new(CALLS),
            steady: Steady::default(),
            state: Mutex::default(),
            connecting: sync::Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        self.target.address()
    }

    /// Connects once, and says what is wrong.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        match timeout(self.timeout.max(AWAY), self.establish()).await {
            Ok(connected) => connected.map(|_| ()),
            Err(_) => Err(self.silent(None)),
        }
    }

    /// Reads the clock of the server. The first one who asks connects, within the response timeout.
    pub(super) async fn reading(&self) -> Result<Reading, StoreError> {
        if !self.state.lock().checked {
            match timeout(self.timeout, self.connection()).await {
                Ok(connected) => drop(connected?),
                Err(_) => {
                    let error = self.silent(None);
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
        Ok(self.steady.read())
    }

    /// Runs a script, within the response timeout.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let progress = Mutex::new(Progress::default());
        if let Ok(answer) = timeout_at(deadline, self.attempts(call, deadline, &progress)).await {
            return answer;
        }
        let Progress { generation, last } = std::mem::take(&mut *progress.lock());
        let error = self.silent(last);
        match generation {
            // It may be a connection that leads nowhere any more.
            Some(generation) => self.lost(generation),
            None => self.fail(&error),
        }
        Err(error)
    }

    async fn attempts(
        &self,
        call: &Call,
        deadline: Instant,
        progress: &Mutex<Progress>,
    ) -> Result<Value, StoreError> {
        let _permit = self.calls.acquire().await;
        let mut whole = false;
        loop {
            let (mut connection, generation) = self.connection().await?;
            progress.lock().generation = Some(generation);
            let error = match connection.send(&call.command(whole)).await {
                Ok(answer) => {
                    if self.replicas > 0 {
                        progress.lock().last = Some("`wait_for_replicas` waits for more of them".to_owned());
                    }
                    self.replicated(&mut connection, call, deadline).await?;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::NoScript) if !whole => {
                    whole = true;
                    continue;
                }
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown,
                ) => {}
                // What was the master is a replica by now: the way to the new one begins anew.
                ErrorKind::Server(ServerErrorKind::ReadOnly)
                | ErrorKind::Io
                | ErrorKind::ClusterConnectionNotFound => self.lost(generation),
                _ => return Err(self.explain(error)),
            }
            *progress.lock() = Progress { generation: None, last: Some(error.to_string()) };
            sleep(PAUSE).await;
        }
    }

    /// Waits until as many replicas as are asked for have what was written.
    async fn replicated(
        &self,
        connection: &mut Connection,
        call: &Call,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        if self.replicas == 0 || !call.script.writes {
            return Ok(());
        }
        let (Some(key), left) = (call.keys.first(), deadline.saturating_duration_since(Instant::now()))
        else {
            return Ok(());
        };
        let mut wait = redis::cmd("WAIT");
        // Less than what is left, so that the answer still comes in time.
        wait.arg(self.replicas).arg((left.as_millis() * 3 / 4).max(1).to_string());
        let answer = connection.send_to(key, wait).await.map_err(|error| self.explain(error))?;
        let replicas: u32 = super::rows::read(answer)?;
        if replicas < self.replicas {
            return Err(StoreError::new(
                Kind::Unreachable,
                format!(
                    "{replicas} of the {} replicas that `wait_for_replicas` asks for have what Redis at {} wrote",
                    self.replicas,
                    self.address()
                ),
            ));
        }
        Ok(())
    }

    async fn connection(&self) -> Result<(Connection, u64), StoreError> {
        loop {
            let (again, away) = {
                let state = self.state.lock();
                if let Some(connection) = &state.current {
                    return Ok((connection.clone(), state.generation));
                }
                let now = Instant::now();
                match &state.failed {
                    Some(failed) => {
                        let away = !failed.error.is_unreachable() || now >= failed.since + AWAY;
                        if away && now < failed.until {
                            return Err(failed.error.again());
                        }
                        (failed.until, away)
                    }
                    None => (now, false),
                }
            };
            sleep_until(again).await;
            let connecting = match self.connecting.try_lock() {
                Ok(connecting) => connecting,
                // Another call finds out whether Redis is back.
                Err(_) if away => return Err(self.silent(None)),
                Err(_) => {
                    drop(self.connecting.lock().await);
                    continue;
                }
            };
            if let Err(error) = self.establish().await
                && !error.is_unreachable()
            {
                return Err(error);
            }
            drop(connecting);
        }
    }

    async fn establish(&self) -> Result<(), StoreError> {
        let connected = async {
            let mut connection = self.target.connect().await.map_err(|error| self.explain(error))?;
            // A port may be open although nobody listens to what is said.
            server::answers(&mut connection).await.map_err(|error| self.explain(error))?;
            if !self.state.lock().checked {
                server::check(self.address(), &mut connection).await.map_err(|error| match error {
                    server::Fault::Redis(error) => self.explain(error),
                    server::Fault::Unfit(error) => error,
                })?;
            }
            // Where it may not be asked, the wall clock of this machine has to do.
            if let Some(time) = server::time(&mut connection).await {
                self.steady.set(time);
            }
            Ok(connection)
        };
        match connected.await {
            Ok(connection) => {
                let mut state = self.state.lock();
                state.current = Some(connection);
                state.generation += 1;
                state.failed = None;
                state.checked = true;
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// The connection of that generation is of no use any more.
    fn lost(&self, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation {
            state.current = None;
        }
    }

    fn fail(&self, error: &StoreError) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let (since, wait) = match &state.failed {
            // Several calls may have waited for one attempt.
            Some(failed) if now < failed.until => return,
            Some(failed) => (failed.since, (failed.wait * 2).min(LONGEST_WAIT)),
            None => (now, FIRST_WAIT),
        };
        state.failed = Some(Failed { error: error.again(), since, until: now + wait, wait });
    }

    fn silent(&self, last: Option<String>) -> StoreError {
        let (address, timeout) = (self.address(), self.timeout);
        let error = StoreError::new(
            Kind::Unreachable,
            format!("Redis at {address} cannot be reached: it did not answer within {timeout:?}"),
        );
        match last {
            Some(last) => error.with_source(last),
            None => error,
        }
    }

    fn explain(&self, error: RedisError) -> StoreError {
        let address = self.address();
        if error.code() == Some(FORMAT) {
            return newer(address, error.detail().unwrap_or_default());
        }
        let denied = matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
        ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
        let moved =
            matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot));
        let away = matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::ClusterConnectionNotFound
                | ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::TryAgain
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                )
        );
        if error.code() == Some("OOM") {
            let message = format!(
                "the memory of Redis at {address} is full: send or purge letters, or raise `maxmemory`"
            );
            return StoreError::new(Kind::DiskFull, message).with_source(error);
        }
        if error.code() == Some("WRONGTYPE") {
            let key = error.detail().unwrap_or("a key of the letters");
            let message = format!(
                "another program wrote to the letters in Redis at {address}: `{key}` is of another type than theirs; \
                 delete that key, and the letters that are left are put in order again"
            );
            return StoreError::new(Kind::Foreign, message);
        }
        let (kind, message) = match () {
            () if denied => (
                Kind::Denied,
                format!(
                    "Redis at {address} does not allow it: name a user and a password in the URL, and let the user \
                     run scripts on keys that begin with `{{campanile:`"
                ),
            ),
            () if moved => (Kind::Other, format!("Redis at {address} is a part of a cluster: set `cluster`")),
            () if away => (Kind::Unreachable, format!("Redis at {address} cannot be reached")),
            () => (Kind::Other, format!("Redis at {address} failed")),
        };
        StoreError::new(kind, message).with_source(error)
    }
}

fn newer(address: &str, versions: &str) -> StoreError {
    let mut versions = versions.split(' ');
    let (there, known) = (versions.next().unwrap_or("?"), versions.next().unwrap_or("?"));
    let message = format!(
        "the letters in Redis at {address} have format {there}, and this version of campanile knows up to {known}; update \
         campanile, or give it another queue or database"
    );
    StoreError::new(Kind::NewerSchema, message)
}
