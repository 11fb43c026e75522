//! One alternative: its connection, and when it is tried again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tower::BoxError;

use super::settings::AlternativesSettings;
use crate::base::clock::{self, Tick};
use crate::base::error::TimedOut;
use crate::base::outcome::{line, shown, within};
use crate::base::panics::caught;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The longest text of an error that is shared, in bytes.
const LONGEST_TEXT: usize = 512;

type Connecting<C> = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

type Connect<C> = Box<dyn Fn() -> Connecting<C> + Send + Sync>;

/// One alternative.
pub(super) struct Entry<C> {
    pub(super) name: Arc<str>,
    connect: Connect<C>,
    state: Mutex<State<C>>,
    /// Only one caller connects at a time.
    connecting: Semaphore,
    pub(super) calls: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) connects: AtomicU64,
    pub(super) connect_failures: AtomicU64,
}

struct State<C> {
    connection: Option<Arc<C>>,
    /// Failures in a row, of connects and of calls.
    failed: u32,
    /// It is left alone until then.
    until: Tick,
    delay: Duration,
    /// The number of connects that failed, and the text of the last.
    attempts: u64,
    last_error: Arc<str>,
}

impl<C> Entry<C> {
    pub(super) fn new(name: Arc<str>, connect: Connect<C>) -> Self {
        let state = State {
            connection: None,
            failed: 0,
            until: Tick::default(),
            delay: Duration::ZERO,
            attempts: 0,
            last_error: "".into(),
        };
        Self {
            name,
            connect,
            state: Mutex::new(state),
            connecting: Semaphore::new(1),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            connect_failures: AtomicU64::new(0),
        }
    }

    /// Takes the right to probe it, if it failed and its backoff has ended. The next probe is due after another delay, also if the
    /// caller that probes it is dropped.
    pub(super) fn claim_probe(&self, settings: &AlternativesSettings) -> bool {
        let mut state = self.state.lock();
        let now = clock::now();
        let is_due = now >= state.until;
        if is_due {
            state.until = now + settings.connect_timeout.max(state.delay);
        }
        is_due
    }

    /// The connection; made if there is none. Callers that wait for another one's connect share its result.
    pub(super) async fn connection(&self, settings: &AlternativesSettings) -> Result<Arc<C>, BoxError> {
        let attempts = {
            let state = self.state.lock();
            if let Some(connection) = &state.connection {
                return Ok(Arc::clone(connection));
            }
            state.attempts
        };
        let _permit = self.connecting.acquire().await?;
        {
            let state = self.state.lock();
            if let Some(connection) = &state.connection {
                return Ok(Arc::clone(connection));
            }
            if state.attempts != attempts {
                return Err(state.last_error.to_string().into());
            }
        }
        self.connects.fetch_add(1, Ordering::Relaxed);
        let limit = settings.connect_timeout;
        // The call of `connect` is user code too.
        let connected = match within(limit, caught(async { (self.connect)().await })).await {
            Ok(Ok(Ok(connection))) => Ok(connection),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(panic)) => {
                let message = panic.message().map_or_else(String::new, |text| shown(text, LONGEST_TEXT));
                Err(format!("the connect panicked: {message}").into())
            }
            Err(_) => Err(TimedOut::new("a connect", "connect_timeout", limit).into()),
        };
        match connected {
            Ok(connection) => {
                let connection = Arc::new(connection);
                self.state.lock().connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                self.connect_failures.fetch_add(1, Ordering::Relaxed);
                let text = line(error.as_ref(), LONGEST_TEXT);
                let mut state = self.state.lock();
                state.attempts += 1;
                state.last_error = text.into();
                state.back_off(settings);
                drop(state);
                Err(error)
            }
        }
    }

    /// The alternative answered on this connection.
    pub(super) fn worked(&self) {
        let mut state = self.state.lock();
        if state.failed > 0 {
            (state.failed, state.delay, state.until) = (0, Duration::ZERO, Tick::default());
        }
    }

    /// A call on this connection failed, so the connection is dropped. The failures of calls that ran on one connection count once.
    pub(super) fn broke(&self, connection: &Arc<C>, settings: &AlternativesSettings) {
        let mut state = self.state.lock();
        let is_current = state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection));
        if is_current {
            let dropped = state.connection.take();
            state.back_off(settings);
            drop(state);
            // Its drop is user code.
            drop(dropped);
        }
    }

    /// Whether it failed and has not worked since.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failed > 0
    }

    /// Whether it failed and its backoff has not ended.
    pub(super) fn is_waiting(&self) -> bool {
        let state = self.state.lock();
        state.failed > 0 && clock::now() < state.until
    }

    /// When it is tried again; `None` if it does not wait.
    pub(super) fn waits(&self) -> Option<Duration> {
        let state = self.state.lock();
        let left = state.until.since(clock::now());
        (state.failed > 0).then_some(left)
    }
}

impl<C> State<C> {
    fn back_off(&mut self, settings: &AlternativesSettings) {
        self.delay = settings.backoff.delay(self.failed, self.delay);
        self.failed = self.failed.saturating_add(1);
        self.until = clock::now() + self.delay;
    }
}

impl<C> fmt::Debug for Entry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}
