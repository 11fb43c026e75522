//! One connection to Redis that all calls share, and reconnecting.
//!
//! Every call ends within the response timeout. It waits for a connection, runs its script, and runs it again if the
//! answer was lost. After Redis has been unreachable for a second, calls fail at once until an attempt to connect
//! succeeds, so that callers do not wait for a call that would fail.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{self, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::scripts::Call;
use super::target::{Connection, Target};
use super::{errors, server};
use crate::base::sync::Mutex;
use crate::store::StoreError;
use crate::store::clock::{Reading, StoreClock};

/// The maximum number of calls at one time. Further calls wait, within their own timeout.
const CALLS: usize = 256;

/// The first and the longest time between two attempts to connect.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// After this time without a connection, calls no longer wait for one.
const OUTAGE: Duration = Duration::from_secs(1);

/// The time before a call is repeated when Redis was not ready.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct SharedConnection {
    target: Target,
    timeout: Duration,
    replicas: u32,
    calls: Semaphore,
    /// The clock of the server.
    clock: StoreClock,
    state: Mutex<State>,
    /// Held by the call that connects.
    connecting: sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Connection>,
    /// Grows with each connection, so that a late failure of an old connection does not drop the current one.
    generation: u64,
    outage: Option<Outage>,
    /// Whether the version and settings of the server were checked.
    checked: bool,
}

/// Attempts to connect that failed in a row.
#[derive(Debug)]
struct Outage {
    /// The last error.
    error: StoreError,
    since: Instant,
    /// When the next attempt may begin.
    next_attempt: Instant,
    wait: Duration,
}

/// The progress of a call, for the error when it times out.
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
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}

impl SharedConnection {
    pub(super) fn new(target: Target, timeout: Duration, replicas: u32) -> Self {
        Self {
            target,
            timeout,
            replicas,
            calls: Semaphore::new(CALLS),
            clock: StoreClock::default(),
            state: Mutex::default(),
            connecting: sync::Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        self.target.address()
    }

    /// Tries to connect once.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        match timeout(self.timeout.max(OUTAGE), self.establish()).await {
            Ok(connected) => connected.map(|_| ()),
            Err(_) => Err(self.timed_out(None)),
        }
    }

    /// Reads the clock of the server. The first call connects, within the response timeout.
    pub(super) async fn reading(&self) -> Result<Reading, StoreError> {
        if !self.state.lock().checked {
            match timeout(self.timeout, self.connection()).await {
                Ok(connected) => drop(connected?),
                Err(_) => {
                    let error = self.timed_out(None);
                    self.record_failure(&error);
                    return Err(error);
                }
            }
        }
        Ok(self.clock.read())
    }

    /// Runs a script, within the response timeout.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let progress = Mutex::new(Progress::default());
        if let Ok(answer) = timeout_at(deadline, self.attempts(call, deadline, &progress)).await {
            return answer;
        }
        let Progress { generation, last } = std::mem::take(&mut *progress.lock());
        let error = self.timed_out(last);
        match generation {
            // The connection may be dead without an error.
            Some(generation) => self.drop_connection(generation),
            None => self.record_failure(&error),
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
        let mut by_source = false;
        loop {
            let (mut connection, generation) = self.connection().await?;
            progress.lock().generation = Some(generation);
            let error = match connection.send(&call.command(by_source)).await {
                Ok(answer) => {
                    if self.replicas > 0 {
                        progress.lock().last =
                            Some("too few replicas confirmed the change (`wait_for_replicas`)".to_owned());
                    }
                    self.wait_for_replicas(&mut connection, call, deadline).await?;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::NoScript) if !by_source => {
                    by_source = true;
                    continue;
                }
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown,
                ) => {}
                // After a fail-over, the former master is a replica. A new connection finds the new master.
                ErrorKind::Server(ServerErrorKind::ReadOnly)
                | ErrorKind::Io
                | ErrorKind::ClusterConnectionNotFound => self.drop_connection(generation),
                _ => return Err(self.explain(error)),
            }
            *progress.lock() = Progress { generation: None, last: Some(error.to_string()) };
            sleep(PAUSE).await;
        }
    }

    /// Waits until `wait_for_replicas` replicas have the change.
    async fn wait_for_replicas(
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
        // Less than the remaining time, so that the answer arrives before the deadline.
        wait.arg(self.replicas).arg((left.as_millis() * 3 / 4).max(1).to_string());
        let answer = connection.send_to(key, wait).await.map_err(|error| self.explain(error))?;
        let replicas: u32 = super::rows::read(answer)?;
        if replicas < self.replicas {
            return Err(errors::too_few_replicas(self.address(), replicas, self.replicas));
        }
        Ok(())
    }

    async fn connection(&self) -> Result<(Connection, u64), StoreError> {
        loop {
            let (next_attempt, is_outage) = {
                let state = self.state.lock();
                if let Some(connection) = &state.current {
                    return Ok((connection.clone(), state.generation));
                }
                let now = Instant::now();
                match &state.outage {
                    Some(outage) => {
                        let is_outage = !outage.error.is_unreachable() || now >= outage.since + OUTAGE;
                        if is_outage && now < outage.next_attempt {
                            return Err(outage.error.duplicate());
                        }
                        (outage.next_attempt, is_outage)
                    }
                    None => (now, false),
                }
            };
            sleep_until(next_attempt).await;
            let connecting = match self.connecting.try_lock() {
                Ok(connecting) => connecting,
                // Another call is trying to connect.
                Err(_) if is_outage => return Err(self.timed_out(None)),
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
            // An open port does not mean that a server answers.
            server::ping(&mut connection).await.map_err(|error| self.explain(error))?;
            if !self.state.lock().checked {
                server::check(self.address(), &mut connection).await.map_err(|error| match error {
                    server::Fault::Redis(error) => self.explain(error),
                    server::Fault::Unfit(error) => error,
                })?;
            }
            // If the user may not run `TIME`, the wall clock of this machine is used.
            if let Some(time) = server::time(&mut connection).await {
                self.clock.set(time);
            }
            Ok(connection)
        };
        match connected.await {
            Ok(connection) => {
                let mut state = self.state.lock();
                state.current = Some(connection);
                state.generation += 1;
                state.outage = None;
                state.checked = true;
                Ok(())
            }
            Err(error) => {
                self.record_failure(&error);
                Err(error)
            }
        }
    }

    /// Drops the connection of that generation.
    fn drop_connection(&self, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation {
            state.current = None;
        }
    }

    fn record_failure(&self, error: &StoreError) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let (since, wait) = match &state.outage {
            // Several calls may have waited for the same attempt.
            Some(outage) if now < outage.next_attempt => return,
            Some(outage) => (outage.since, (outage.wait * 2).min(LONGEST_WAIT)),
            None => (now, FIRST_WAIT),
        };
        state.outage = Some(Outage { error: error.duplicate(), since, next_attempt: now + wait, wait });
    }

    fn timed_out(&self, last: Option<String>) -> StoreError {
        errors::timed_out(self.address(), self.timeout, last)
    }

    fn explain(&self, error: RedisError) -> StoreError {
        errors::explain(self.address(), error)
    }
}
