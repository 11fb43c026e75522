//! The two threads: one keeps the time, the other reads.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::latest::Latest;
use super::probe::{Make, Plan, Probe, ProbeError, Sample};
use crate::backoff::Backoff;
use crate::clock::{self, Tick};

/// The second reading comes this soon: shares of processor time need two.
const SECOND_READING: Duration = Duration::from_millis(500);
/// A source that keeps failing is still tried this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The threads, until it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    inbox: Sender<Message>,
    timekeeper: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(plans: Vec<Plan>, latest: Arc<Latest>) -> io::Result<Self> {
        let (inbox, messages) = mpsc::channel();
        let now = clock::now();
        let sources = plans.into_iter().map(|plan| Scheduled::new(plan, now)).collect();
        let timekeeper = Timekeeper { sources, latest, reader: None, inbox: inbox.clone(), messages };
        let timekeeper =
            thread::Builder::new().name("campanile-sampler".into()).spawn(move || timekeeper.run())?;
        Ok(Self { inbox, timekeeper: Some(timekeeper) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error of either means that the thread is gone already.
        let _ = self.inbox.send(Message::Stop);
        if let Some(timekeeper) = self.timekeeper.take() {
            let _ = timekeeper.join();
        }
    }
}

enum Message {
    Stop,
    Done(Done),
}

/// A reading to make. The probe travels, so that a reader that hangs takes nothing else with it.
struct Job {
    source: usize,
    make: Make,
    probe: Option<Box<dyn Probe>>,
}

/// A reading that came to an end.
struct Done {
    source: usize,
    /// `None` after a panic: what it left behind may be broken.
    probe: Option<Box<dyn Probe>>,
    result: Result<Sample, ProbeError>,
    took: Duration,
}

// ===== the time =====

struct Timekeeper {
    sources: Vec<Scheduled>,
    latest: Arc<Latest>,
    reader: Option<Reader>,
    inbox: Sender<Message>,
    messages: Receiver<Message>,
}

struct Scheduled {
    plan: Plan,
    probe: Option<Box<dyn Probe>>,
    state: State,
    readings: u64,
    failures_in_a_row: u32,
}

#[derive(Clone, Copy)]
enum State {
    /// To be read then.
    Due(Tick),
    /// Being read, and in time so far.
    Reading,
    /// Did not answer by its deadline, and has not answered yet.
    Overdue,
}

impl Scheduled {
    fn new(plan: Plan, now: Tick) -> Self {
        Self { plan, probe: None, state: State::Due(now), readings: 0, failures_in_a_row: 0 }
    }

    fn succeeded(&mut self, now: Tick) {
        if self.failures_in_a_row > 0 {
            tracing::info!(source = &*self.plan.name, "the sampler can read this source again");
            self.failures_in_a_row = 0;
        }
        self.readings += 1;
        let pause = if self.readings == 1 { SECOND_READING.min(self.plan.every) } else { self.plan.every };
        self.state = State::Due(now + pause);
    }

    fn failed(&mut self, now: Tick, error: &ProbeError) {
        if self.failures_in_a_row == 0 {
            tracing::warn!(
                source = &*self.plan.name,
                error = %error,
                "the sampler cannot read this source; it is tried again ever more rarely"
            );
        }
        let every = self.plan.every;
        let pause = Backoff::exponential(every * 2, LONGEST_PAUSE.max(every * 2));
        self.state = State::Due(now + pause.delay(self.failures_in_a_row, Duration::ZERO));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
    }
}

impl Timekeeper {
    fn run(mut self) {
        loop {
            self.hand_out();
            match self.messages.recv_timeout(self.pause()) {
                Ok(Message::Done(done)) => self.settle(done),
                Err(RecvTimeoutError::Timeout) => self.give_up_overdue(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // An idle reader ends at once; a busy one ends by itself when its source answers.
        if let Some(reader) = self.reader.take()
            && reader.busy.is_none()
        {
            drop(reader.jobs);
            let _ = reader.thread.join();
        }
    }

    /// Gives the reader its next source, if there is one to read and the reader is free.
    fn hand_out(&mut self) {
        if self.reader.as_ref().is_some_and(|reader| reader.busy.is_some()) {
            return;
        }
        let now = clock::now();
        let Some((source, due)) = self.next() else { return };
        if due > now {
            return;
        }
        let reader = match self.reader.take().map_or_else(|| Reader::start(self.inbox.clone()), Ok) {
            Ok(reader) => reader,
            Err(error) => {
                let error = ProbeError(format!("no thread to read it: {error}").into());
                return self.fail(source, now, &error);
            }
        };
        let scheduled = &mut self.sources[source];
        let job = Job { source, make: Arc::clone(&scheduled.plan.make), probe: scheduled.probe.take() };
        if reader.jobs.send(job).is_err() {
            // Its thread is gone, which nothing it does can bring about; the next round starts another.
            return self.fail(source, now, &ProbeError("the reading thread is gone".into()));
        }
        scheduled.state = State::Reading;
        let until = now + scheduled.plan.deadline;
        self.reader = Some(Reader { busy: Some(Busy { source, until }), ..reader });
    }

    /// The source that is due first.
    fn next(&self) -> Option<(usize, Tick)> {
        let due = |(source, scheduled): (usize, &Scheduled)| match scheduled.state {
            State::Due(due) => Some((source, due)),
            State::Reading | State::Overdue => None,
        };
        self.sources.iter().enumerate().filter_map(due).min_by_key(|(_, due)| *due)
    }

    /// How long nothing is to be done unless a message comes.
    fn pause(&self) -> Duration {
        let next = match self.reader.as_ref().and_then(|reader| reader.busy.as_ref()) {
            Some(busy) => Some(busy.until),
            None => self.next().map(|(_, due)| due),
        };
        next.map_or(LONGEST_PAUSE, |next| next.since(clock::now()))
    }

    fn settle(&mut self, done: Done) {
        let now = clock::now();
        if let Some(reader) = &mut self.reader
            && reader.busy.as_ref().is_some_and(|busy| busy.source == done.source)
        {
            reader.busy = None;
        }
        let Some(scheduled) = self.sources.get_mut(done.source) else { return };
        scheduled.probe = done.probe;
        match (scheduled.state, done.result) {
            (State::Overdue, _) => {
                // Its failure is counted and its values are from who knows when; it may try again.
                let pause =
                    Backoff::exponential(scheduled.plan.every, LONGEST_PAUSE.max(scheduled.plan.every));
                let again = pause.delay(scheduled.failures_in_a_row, Duration::ZERO);
                scheduled.state = State::Due(now + again);
            }
            (_, Ok(sample)) => {
                scheduled.succeeded(now);
                self.latest.store(done.source, now, done.took, sample);
            }
            (_, Err(error)) => self.fail(done.source, now, &error),
        }
    }

    fn give_up_overdue(&mut self) {
        let now = clock::now();
        let overdue = self
            .reader
            .take_if(|reader| reader.busy.as_ref().is_some_and(|busy| busy.until <= now))
            .and_then(|reader| reader.busy);
        if let Some(busy) = overdue {
            let deadline = self.sources[busy.source].plan.deadline;
            self.fail(busy.source, now, &ProbeError(format!("no answer within {deadline:?}").into()));
            self.sources[busy.source].state = State::Overdue;
        }
    }

    fn fail(&mut self, source: usize, now: Tick, error: &ProbeError) {
        self.latest.failed(source);
        self.sources[source].failed(now, error);
    }
}

// ===== the reading =====

struct Reader {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
    busy: Option<Busy>,
}

struct Busy {
    source: usize,
    until: Tick,
}

impl Reader {
    fn start(inbox: Sender<Message>) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let thread = thread::Builder::new().name("campanile-reader".into()).spawn(move || {
            for job in work {
                if inbox.send(Message::Done(read(job))).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { jobs, thread, busy: None })
    }
}

fn read(job: Job) -> Done {
    let Job { source, make, probe } = job;
    let started = clock::now();
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        let mut probe = probe.unwrap_or_else(|| make());
        let mut sample = Sample::default();
        let result = probe.sample(&mut sample).map(|()| sample);
        (probe, result)
    }));
    let took = clock::now().since(started);
    match outcome {
        Ok((probe, result)) => Done { source, probe: Some(probe), result, took },
        Err(panic) => {
            let error = ProbeError(format!("it panicked: {}", message_of(panic.as_ref())).into());
            // A payload may panic again when it is dropped, outside of any catch.
            std::mem::forget(panic);
            Done { source, probe: None, result: Err(error), took }
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{SAMPLER_FAILURES, SYSTEM_UPTIME, Source};
    use crate::sync::Mutex;

    /// Far longer than anything here takes; only a broken scheduler reaches it.
    const PATIENCE: Duration = Duration::from_secs(60);

    struct Call<F>(F);

    impl<F: FnMut() -> Result<f64, ProbeError> + Send> Probe for Call<F> {
        fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
            sample.value(&SYSTEM_UPTIME, (self.0)()?);
            Ok(())
        }
    }

    /// A source that does what `script` says at its reading number n, counted from 1 and over all probes made.
    ///
    /// Each reading is announced on the channel first, and waits there until the test takes it.
    fn source(
        name: &'static str,
        deadline: Duration,
        script: impl Fn(u64) -> Result<f64, &'static str> + Send + Sync + 'static,
    ) -> (Plan, Receiver<u64>) {
        let (announce, readings) = mpsc::sync_channel(0);
        let script = Arc::new((script, Mutex::new(0)));
        let make = move || -> Box<dyn Probe> {
            let (announce, script) = (announce.clone(), Arc::clone(&script));
            Box::new(Call(move || {
                let number = {
                    let mut number = script.1.lock();
                    *number += 1;
                    *number
                };
                // The test may be over.
                let _ = announce.send(number);
                (script.0)(number).map_err(|error| ProbeError(error.into()))
            }))
        };
        (
            Plan { name: name.into(), make: Arc::new(make), every: Duration::from_millis(1), deadline },
            readings,
        )
    }

    fn start(plans: Vec<Plan>) -> (Running, Arc<Latest>) {
        let latest = Arc::new(Latest::new(plans.iter().map(|plan| (plan.name.clone(), PATIENCE))));
        (Running::start(plans, Arc::clone(&latest)).unwrap(), latest)
    }

    fn next(readings: &Receiver<u64>) -> u64 {
        readings.recv_timeout(PATIENCE).expect("the source is read again")
    }

    fn observed(latest: &Latest, wanted: &str) -> Vec<f64> {
        let mut values = Vec::new();
        latest.observe(&mut |metric, value, _| {
            if metric.name == wanted {
                values.push(value);
            }
        });
        values
    }

    #[test]
    fn p40_a_source_that_panics_or_fails_does_not_stop_the_others_and_comes_back() {
        for kind in ["panics", "fails"] {
            let (bad, bad_readings) = source("bad", PATIENCE, move |number| match (number, kind) {
                (1 | 2, "panics") => panic!("on purpose"),
                (1 | 2, _) => Err("on purpose"),
                _ => Ok(42.0),
            });
            let (good, good_readings) = source("good", PATIENCE, |_| Ok(7.0));
            let (running, latest) = start(vec![bad, good]);
            assert_eq!(next(&bad_readings), 1);
            assert_eq!(next(&good_readings), 1);
            let mut bad_seen = 1;
            let mut good_seen = 1;
            // The other source keeps being read while this one fails twice and until it has come back.
            while bad_seen < 4 {
                if let Ok(number) = bad_readings.try_recv() {
                    bad_seen = number;
                }
                if let Ok(number) = good_readings.try_recv() {
                    good_seen = number;
                }
                thread::yield_now();
            }
            assert!(good_seen > 1, "{kind}");
            assert_eq!(observed(&latest, SAMPLER_FAILURES.name), [2.0, 0.0], "{kind}");
            assert_eq!(observed(&latest, SYSTEM_UPTIME.name), [42.0, 7.0], "{kind}");
            drop((bad_readings, good_readings));
            drop(running);
        }
    }

    #[test]
    fn p40_a_source_that_hangs_does_not_stop_the_others_and_comes_back() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (bad, bad_readings) = source("bad", Duration::from_millis(20), move |number| {
            if number == 1 {
                let _ = released.lock().recv();
                return Ok(13.0);
            }
            Ok(42.0)
        });
        let (good, good_readings) = source("good", PATIENCE, |_| Ok(7.0));
        let (running, latest) = start(vec![bad, good]);
        assert_eq!(next(&bad_readings), 1);
        for number in 1..=20 {
            assert_eq!(next(&good_readings), number);
        }
        assert_eq!(observed(&latest, SAMPLER_FAILURES.name), [1.0, 0.0]);
        release.send(()).unwrap();
        // The announcements wait for each other: take both until the source has been read twice more.
        let mut bad_seen = 1;
        while bad_seen < 3 {
            let _ = good_readings.try_recv();
            bad_seen = bad_readings.try_recv().unwrap_or(bad_seen);
            thread::yield_now();
        }
        // The late value of the first reading was never shown; the second one was.
        assert_eq!(observed(&latest, SYSTEM_UPTIME.name), [42.0, 7.0]);
        drop((bad_readings, good_readings));
        drop(running);
    }

    #[test]
    fn a_hanging_source_does_not_hold_up_the_end() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (bad, readings) = source("bad", PATIENCE, move |_| {
            let _ = released.lock().recv();
            Ok(1.0)
        });
        let (running, _latest) = start(vec![bad]);
        assert_eq!(next(&readings), 1);
        drop(running);
        drop(release);
    }

    #[test]
    fn the_pause_after_a_failure_grows_and_ends_with_a_success() {
        let (plan, _readings) = source("bad", PATIENCE, |_| Ok(1.0));
        let start = Tick(1_000_000_000);
        let mut scheduled = Scheduled::new(Plan { every: Duration::from_secs(10), ..plan }, start);
        let pause = |scheduled: &Scheduled| match scheduled.state {
            State::Due(due) => due.since(start),
            State::Reading | State::Overdue => panic!("not due"),
        };
        let error = ProbeError("gone".into());
        for most in [20, 40, 80, 160, 300, 300] {
            scheduled.failed(start, &error);
            let pause = pause(&scheduled);
            assert!(
                pause >= Duration::from_secs(most) / 2 && pause <= Duration::from_secs(most),
                "{pause:?}"
            );
        }
        scheduled.succeeded(start);
        assert_eq!(pause(&scheduled), SECOND_READING);
        scheduled.succeeded(start);
        assert_eq!(pause(&scheduled), Duration::from_secs(10));
    }
}
