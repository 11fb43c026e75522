//! The thread that calls the driver, and how callers wait for it.
//!
//! The devices borrow from the library, and a call hangs while the driver is broken. So one thread owns the library and its
//! devices and answers requests, and callers wait for a bounded time. While that thread hangs, no second one is started,
//! and it gets no second request.
//!
//! The thread starts with the first request. It ends with the last client, or if there is no driver, so that a machine
//! without a GPU has no such thread.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::device::SlowDevice;
use super::driver::{Driver, FastReading};
use super::names::Known;
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// How long the start of a driver may take. It takes seconds for each GPU if nothing keeps the driver loaded.
const START: Duration = Duration::from_secs(60);
/// The maximum number of readings after which the library is started again for broken devices.
const LONGEST_PAUSE: u32 = 32;

/// The connection to the thread of one library. The thread ends with it.
#[derive(Debug)]
pub(super) struct Session {
    library: Option<PathBuf>,
    requests: Mutex<Option<Sender<Request>>>,
    /// Whether the library is being started.
    starting: AtomicBool,
}

/// A request to the thread.
#[derive(Debug)]
pub(super) enum Request {
    Fast { with_xids: bool, to: SyncSender<Answer<FastReading>> },
    Slow { processes: bool, to: SyncSender<Answer<Vec<SlowDevice>>> },
}

/// The answer of the thread.
#[derive(Clone, Debug)]
pub(super) enum Answer<T> {
    Read(T),
    /// There is no driver.
    Absent(String),
    /// The driver does not work.
    Failed(String),
    /// The driver is being started.
    Starting,
    /// The driver did not answer in time.
    Silent(String),
}

/// A client of the thread. It makes one request at a time.
#[derive(Debug)]
pub(super) struct Client<T> {
    session: Arc<Session>,
    timeout: Duration,
    /// The outstanding answer, and the time of its request.
    overdue: Option<(Receiver<Answer<T>>, Tick)>,
}

// ===== impl Session =====

static SESSIONS: Mutex<Vec<Weak<Session>>> = Mutex::new(Vec::new());

impl Session {
    /// A new session.
    pub(super) fn new(library: Option<&Path>) -> Arc<Self> {
        let session = Arc::new(Self {
            library: library.map(Path::to_owned),
            requests: Mutex::new(None),
            starting: AtomicBool::new(false),
        });
        let mut sessions = SESSIONS.lock();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&session));
        session
    }

    /// The session of this library that exists already, because its driver is started; otherwise a new one.
    pub(super) fn shared(library: Option<&Path>) -> Arc<Self> {
        let found = SESSIONS
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .find(|session| session.library.as_deref() == library);
        found.unwrap_or_else(|| Self::new(library))
    }

    /// Sends a request. If the driver is not started and `start` is false, there is no answer.
    fn send(self: &Arc<Self>, mut request: Request, start: bool) -> Result<(), String> {
        let mut requests = self.requests.lock();
        if let Some(open) = requests.as_ref() {
            match open.send(request) {
                Ok(()) => return Ok(()),
                // The thread panicked.
                Err(mpsc::SendError(back)) => request = back,
            }
        }
        if !start {
            return Ok(());
        }
        let (sender, receiver) = mpsc::channel();
        let (session, library) = (Arc::downgrade(self), self.library.clone());
        thread::Builder::new()
            .name("campanile-gpu".into())
            .spawn(move || work(&session, library.as_deref(), &receiver))
            .map_err(|error| format!("the thread `campanile-gpu` could not be started: {error}"))?;
        // The thread owns the receiver and waits for this.
        let _ = sender.send(request);
        *requests = Some(sender);
        Ok(())
    }
}

// ===== impl Client =====

impl<T> Client<T> {
    pub(super) fn new(session: Arc<Session>, timeout: Duration) -> Self {
        Self { session, timeout, overdue: None }
    }

    /// Whether an answer is outstanding.
    pub(super) fn is_waiting(&mut self) -> bool {
        let Some((answers, _)) = &self.overdue else { return false };
        // A late answer is ignored.
        if !matches!(answers.try_recv(), Err(TryRecvError::Empty)) {
            self.overdue = None;
        }
        self.overdue.is_some()
    }

    /// Sends a request and waits for the answer; `None` if there is no thread.
    pub(super) fn ask(
        &mut self,
        start: bool,
        request: impl FnOnce(SyncSender<Answer<T>>) -> Request,
    ) -> Option<Answer<T>> {
        if self.is_waiting() {
            let since = self.overdue.as_ref().map_or_else(clock::now, |(_, since)| *since);
            return Some(self.silence(since));
        }
        let (to, answers) = mpsc::sync_channel(1);
        let since = clock::now();
        if let Err(why) = self.session.send(request(to), start) {
            return Some(Answer::Failed(why));
        }
        match answers.recv_timeout(self.timeout) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.overdue = Some((answers, since));
                Some(self.silence(since))
            }
            Err(RecvTimeoutError::Disconnected) if start => {
                Some(Answer::Failed("the thread `campanile-gpu` panicked".into()))
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The outstanding answer, if there is one.
    pub(super) fn into_overdue(self) -> Option<Receiver<Answer<T>>> {
        self.overdue.map(|(answers, _)| answers)
    }

    fn silence(&self, since: Tick) -> Answer<T> {
        let waited = clock::now().since(since);
        if waited < START && self.session.starting.load(Ordering::Acquire) {
            return Answer::Starting;
        }
        Answer::Silent(format!("the driver has not answered for {} s", waited.as_secs()))
    }
}

impl Request {
    fn fail(self, absent: bool, why: String) {
        // The client may have given up.
        match self {
            Self::Fast { to, .. } => drop(to.try_send(Answer::refusal(absent, why))),
            Self::Slow { to, .. } => drop(to.try_send(Answer::refusal(absent, why))),
        }
    }
}

impl<T> Answer<T> {
    fn refusal(absent: bool, why: String) -> Self {
        if absent { Self::Absent(why) } else { Self::Failed(why) }
    }
}

// ===== the thread =====

/// The state that is kept over several starts of the library.
#[derive(Debug)]
struct Memory {
    known: Known,
    /// The readings until the library is started again for broken devices.
    remaining: u32,
    /// The number of readings of the last pause.
    pause: u32,
}

/// Why the library is closed.
enum Closed {
    /// To be opened again for this request.
    For(Request),
    /// To be opened again at the next request.
    UntilRequest,
    /// There are no more clients.
    ForGood,
}

fn work(session: &Weak<Session>, library: Option<&Path>, requests: &Receiver<Request>) {
    let mut memory = Memory { known: Known::default(), remaining: 1, pause: 1 };
    let mut next = requests.recv().ok();
    while let Some(request) = next.take() {
        let kept = session.upgrade();
        starting(session, true);
        let opened = open(library);
        drop(kept);
        match opened {
            Ok(nvml) => {
                let closed = serve(&nvml, request, requests, &mut memory, session);
                drop(nvml);
                next = match closed {
                    Closed::For(request) => Some(request),
                    Closed::UntilRequest => requests.recv().ok(),
                    Closed::ForGood => None,
                };
            }
            Err(error) => {
                let absent = matches!(
                    error,
                    NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded
                );
                refuse_all(session, request, requests, absent, &error.to_string());
            }
        }
        starting(session, false);
    }
}

fn starting(session: &Weak<Session>, starting: bool) {
    if let Some(session) = session.upgrade() {
        session.starting.store(starting, Ordering::Release);
    }
}

fn open(library: Option<&Path>) -> Result<Nvml, NvmlError> {
    let mut builder = Nvml::builder();
    if let Some(library) = library {
        builder.lib_path(<Path as AsRef<OsStr>>::as_ref(library));
    }
    builder.init()
}

/// Refuses all waiting requests and ends the thread. The next request starts another thread.
fn refuse_all(
    session: &Weak<Session>,
    request: Request,
    requests: &Receiver<Request>,
    absent: bool,
    why: &str,
) {
    if let Some(session) = session.upgrade() {
        // Under the lock, so that no other request can be sent before the end.
        let mut open = session.requests.lock();
        while let Ok(request) = requests.try_recv() {
            request.fail(absent, why.to_owned());
        }
        *open = None;
    }
    request.fail(absent, why.to_owned());
}

fn serve(
    nvml: &Nvml,
    first: Request,
    requests: &Receiver<Request>,
    memory: &mut Memory,
    session: &Weak<Session>,
) -> Closed {
    let mut driver = Driver::new(nvml);
    let (mut request, mut fresh) = (first, true);
    loop {
        // Keeps the session alive while a call hangs, even if the client is gone, so that no second thread is started.
        let kept = session.upgrade();
        // The channels have room for one answer. An error means that the client is gone.
        match request {
            Request::Fast { with_xids, to } => {
                if !fresh && driver.has_broken() && memory.is_time() {
                    return Closed::For(Request::Fast { with_xids, to });
                }
                match driver.fast(&mut memory.known, with_xids) {
                    Ok(reading) => {
                        if !driver.has_broken() {
                            (memory.remaining, memory.pause) = (1, 1);
                        }
                        starting(session, false);
                        let _ = to.try_send(Answer::Read(reading));
                    }
                    Err(_) if !fresh => return Closed::For(Request::Fast { with_xids, to }),
                    Err(why) => {
                        let _ = to.try_send(Answer::Failed(why));
                        return Closed::UntilRequest;
                    }
                }
            }
            Request::Slow { processes, to } => match driver.slow(processes) {
                Ok(devices) => drop(to.try_send(Answer::Read(devices))),
                // The next fast reading opens the library again, and reports if that fails.
                Err(_) => drop(to.try_send(Answer::Starting)),
            },
        }
        drop(kept);
        fresh = false;
        request = match requests.recv() {
            Ok(request) => request,
            Err(_) => return Closed::ForGood,
        };
    }
}

impl Memory {
    /// Whether to start the library again at this reading: after 1, 2, 4 … 32 readings.
    fn is_time(&mut self) -> bool {
        self.remaining = self.remaining.saturating_sub(1);
        if self.remaining > 0 {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.remaining = self.pause;
        true
    }
}
