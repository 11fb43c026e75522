//! Who talks to the driver, and how to wait for it.
//!
//! What the library gives borrows from it, and a call may hang for as long as a driver is broken. So one thread
//! owns library and devices and answers questions; who asks waits for a bounded time. While that thread hangs no
//! second one is started, and no second question is put to it: the first one has to be answered before.
//!
//! The thread starts with the first question and ends with the last asker, or when there is no driver: a machine
//! without a GPU has no thread for it.

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

/// To start a driver that nothing kept loaded takes seconds for each GPU: that long is no failure.
const START: Duration = Duration::from_secs(60);
/// Broken devices are looked for by a new start of the library after this many readings at the latest.
const LONGEST_PAUSE: u32 = 32;

/// The way to the thread of one library; the thread ends with it.
#[derive(Debug)]
pub(super) struct Line {
    library: Option<PathBuf>,
    questions: Mutex<Option<Sender<Question>>>,
    /// Whether the library is being started just now.
    starting: AtomicBool,
}

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Question {
    Fast { with_xids: bool, to: SyncSender<Answer<FastReading>> },
    Slow { processes: bool, to: SyncSender<Answer<Vec<SlowDevice>>> },
}

/// What it answers.
#[derive(Clone, Debug)]
pub(super) enum Answer<T> {
    Read(T),
    /// There is no driver.
    Absent(String),
    /// There is a driver, and it does not work.
    Failed(String),
    /// The driver is being started.
    Starting,
    /// It did not answer in time.
    Silent(String),
}

/// One who asks: one question at a time.
#[derive(Debug)]
pub(super) struct Asker<T> {
    line: Arc<Line>,
    patience: Duration,
    /// The answer to a question of then that has not come.
    overdue: Option<(Receiver<Answer<T>>, Tick)>,
}

// ===== impl Line =====

static LINES: Mutex<Vec<Weak<Line>>> = Mutex::new(Vec::new());

impl Line {
    /// A line of one's own.
    pub(super) fn new(library: Option<&Path>) -> Arc<Self> {
        let line = Arc::new(Self {
            library: library.map(Path::to_owned),
            questions: Mutex::new(None),
            starting: AtomicBool::new(false),
        });
        let mut lines = LINES.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&line));
        line
    }

    /// A line that others use too, if there is one: the driver is started there already.
    pub(super) fn shared(library: Option<&Path>) -> Arc<Self> {
        let found =
            LINES.lock().iter().filter_map(Weak::upgrade).find(|line| line.library.as_deref() == library);
        found.unwrap_or_else(|| Self::new(library))
    }

    /// Puts a question; there is no answer where there is no driver as yet and `start` is not wanted.
    fn put(self: &Arc<Self>, mut question: Question, start: bool) -> Result<(), String> {
        let mut questions = self.questions.lock();
        if let Some(open) = questions.as_ref() {
            match open.send(question) {
                Ok(()) => return Ok(()),
                // The thread panicked.
                Err(mpsc::SendError(back)) => question = back,
            }
        }
        if !start {
            return Ok(());
        }
        let (sender, receiver) = mpsc::channel();
        let (line, library) = (Arc::downgrade(self), self.library.clone());
        thread::Builder::new()
            .name("campanile-gpu".into())
            .spawn(move || work(&line, library.as_deref(), &receiver))
            .map_err(|error| format!("no thread to ask the driver: {error}"))?;
        // The receiver lives in the thread, which waits for this.
        let _ = sender.send(question);
        *questions = Some(sender);
        Ok(())
    }
}

// ===== impl Asker =====

impl<T> Asker<T> {
    pub(super) fn new(line: Arc<Line>, patience: Duration) -> Self {
        Self { line, patience, overdue: None }
    }

    /// Whether an answer is still to come.
    pub(super) fn is_waiting(&mut self) -> bool {
        let Some((answers, _)) = &self.overdue else { return false };
        // One that comes late is of no use any more.
        if !matches!(answers.try_recv(), Err(TryRecvError::Empty)) {
            self.overdue = None;
        }
        self.overdue.is_some()
    }

    /// Asks, and waits for the answer; `None` when there is no thread to answer.
    pub(super) fn ask(
        &mut self,
        start: bool,
        question: impl FnOnce(SyncSender<Answer<T>>) -> Question,
    ) -> Option<Answer<T>> {
        if self.is_waiting() {
            let since = self.overdue.as_ref().map_or_else(clock::now, |(_, since)| *since);
            return Some(self.silence(since));
        }
        let (to, answers) = mpsc::sync_channel(1);
        let since = clock::now();
        if let Err(why) = self.line.put(question(to), start) {
            return Some(Answer::Failed(why));
        }
        match answers.recv_timeout(self.patience) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.overdue = Some((answers, since));
                Some(self.silence(since))
            }
            Err(RecvTimeoutError::Disconnected) if start => {
                Some(Answer::Failed("its thread panicked".into()))
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The answer that is still to come.
    pub(super) fn into_overdue(self) -> Option<Receiver<Answer<T>>> {
        self.overdue.map(|(answers, _)| answers)
    }

    fn silence(&self, since: Tick) -> Answer<T> {
        let waited = clock::now().since(since);
        if waited < START && self.line.starting.load(Ordering::Acquire) {
            return Answer::Starting;
        }
        Answer::Silent(format!("the driver has not answered for {} s", waited.as_secs()))
    }
}

impl Question {
    fn fail(self, absent: bool, why: String) {
        // The asker may have given up.
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

/// What is known over several starts of the library.
#[derive(Debug)]
struct Memory {
    known: Known,
    /// Readings until the library is started anew for the sake of broken devices, and how many that were.
    patience: u32,
    pause: u32,
}

/// Why the library is closed.
enum Closed {
    /// To be opened again for this question.
    For(Question),
    /// To be opened again with the next question.
    UntilAsked,
    /// There is no asker any more.
    ForGood,
}

fn work(line: &Weak<Line>, library: Option<&Path>, questions: &Receiver<Question>) {
    let mut memory = Memory { known: Known::default(), patience: 1, pause: 1 };
    let mut next = questions.recv().ok();
    while let Some(question) = next.take() {
        let kept = line.upgrade();
        starting(line, true);
        let opened = open(library);
        drop(kept);
        match opened {
            Ok(nvml) => {
                let closed = serve(&nvml, question, questions, &mut memory, line);
                drop(nvml);
                next = match closed {
                    Closed::For(question) => Some(question),
                    Closed::UntilAsked => questions.recv().ok(),
                    Closed::ForGood => None,
                };
            }
            Err(error) => {
                let absent = matches!(
                    error,
                    NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded
                );
                leave(line, question, questions, absent, &error.to_string());
            }
        }
        starting(line, false);
    }
}

fn starting(line: &Weak<Line>, starting: bool) {
    if let Some(line) = line.upgrade() {
        line.starting.store(starting, Ordering::Release);
    }
}

fn open(library: Option<&Path>) -> Result<Nvml, NvmlError> {
    let mut builder = Nvml::builder();
    if let Some(library) = library {
        builder.lib_path(<Path as AsRef<OsStr>>::as_ref(library));
    }
    builder.init()
}

/// Tells all who ask that it is no use, and lets go of the line: the next question starts another thread.
fn leave(line: &Weak<Line>, question: Question, questions: &Receiver<Question>, absent: bool, why: &str) {
    if let Some(line) = line.upgrade() {
        // No other question can come between the last look and the end.
        let mut open = line.questions.lock();
        while let Ok(question) = questions.try_recv() {
            question.fail(absent, why.to_owned());
        }
        *open = None;
    }
    question.fail(absent, why.to_owned());
}

fn serve(
    nvml: &Nvml,
    first: Question,
    questions: &Receiver<Question>,
    memory: &mut Memory,
    line: &Weak<Line>,
) -> Closed {
    let mut driver = Driver::new(nvml);
    let (mut question, mut fresh) = (first, true);
    loop {
        // Found by others for as long as a call hangs, even when the asker has gone: they must not start a
        // second thread.
        let kept = line.upgrade();
        // Answers go to channels with room for one; an error means that the asker is gone.
        match question {
            Question::Fast { with_xids, to } => {
                if !fresh && driver.has_broken() && memory.is_time() {
                    return Closed::For(Question::Fast { with_xids, to });
                }
                match driver.fast(&mut memory.known, with_xids) {
                    Ok(reading) => {
                        if !driver.has_broken() {
                            (memory.patience, memory.pause) = (1, 1);
                        }
                        starting(line, false);
                        let _ = to.try_send(Answer::Read(reading));
                    }
                    Err(_) if !fresh => return Closed::For(Question::Fast { with_xids, to }),
                    Err(why) => {
                        let _ = to.try_send(Answer::Failed(why));
                        return Closed::UntilAsked;
                    }
                }
            }
            Question::Slow { processes, to } => match driver.slow(processes) {
                Ok(devices) => drop(to.try_send(Answer::Read(devices))),
                // The next fast reading sees to it, and tells when that does not help.
                Err(_) => drop(to.try_send(Answer::Starting)),
            },
        }
        drop(kept);
        fresh = false;
        question = match questions.recv() {
            Ok(question) => question,
            Err(_) => return Closed::ForGood,
        };
    }
}

impl Memory {
    /// Whether to start the library anew at this reading: after 1, 2, 4 … 32 of them.
    fn is_time(&mut self) -> bool {
        self.patience = self.patience.saturating_sub(1);
        if self.patience > 0 {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.patience = self.pause;
        true
    }
}
