use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::sampler::Thresholds;
use crate::sampler::probe::{Probe, ProbeError, Sample};
use crate::signal::{SAMPLER_FAILURES, SYSTEM_UPTIME, Source};

/// Far longer than anything here takes. Only a broken schedule reaches it.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Call<F>(F);

impl<F: FnMut() -> Result<f64, ProbeError> + Send> Probe for Call<F> {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        sample.value(&SYSTEM_UPTIME, (self.0)()?);
        Ok(())
    }
}

/// A source whose readings return what `script` returns for their number, counted from 1 over all its probes.
///
/// Each reading first sends its number on the channel, and waits until the test receives it.
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
            let number = counted(&script.1);
            // The test may be over.
            let _ = announce.send(number);
            (script.0)(number).map_err(|error| ProbeError(error.into()))
        }))
    };
    (Plan { name: name.into(), make: Arc::new(make), every: Duration::from_millis(1), deadline }, readings)
}

/// The next number, from 1 on.
fn counted(number: &Mutex<u64>) -> u64 {
    let mut number = number.lock();
    *number += 1;
    *number
}

/// A source that hangs at each reading until the sender is dropped.
fn hanging() -> (mpsc::Sender<()>, Plan, Receiver<u64>) {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let (bad, readings) = source("bad", TIMEOUT, move |_| {
        let _ = released.lock().recv();
        Ok(1.0)
    });
    (release, bad, readings)
}

fn start(plans: Vec<Plan>) -> (Running, Arc<Latest>) {
    let latest =
        Arc::new(Latest::new(plans.iter().map(|plan| (plan.name.clone(), TIMEOUT)), Thresholds::default()));
    (Running::start(plans, &latest).unwrap(), latest)
}

fn next(readings: &Receiver<u64>) -> u64 {
    readings.recv_timeout(TIMEOUT).expect("the source is read again")
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
fn p40_a_source_that_panics_or_fails_does_not_stop_the_others_and_recovers() {
    for kind in ["panics", "fails"] {
        let (bad, bad_readings) = source("bad", TIMEOUT, move |number| match (number, kind) {
            (1 | 2, "panics") => panic!("on purpose"),
            (1 | 2, _) => Err("on purpose"),
            _ => Ok(42.0),
        });
        let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
        let (running, latest) = start(vec![bad, good]);
        assert_eq!(next(&bad_readings), 1);
        assert_eq!(next(&good_readings), 1);
        let mut bad_seen = 1;
        let mut good_seen = 1;
        // The other source is read while this one fails twice, and until it has recovered.
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
fn p40_a_source_that_hangs_does_not_stop_the_others_and_recovers() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (bad, bad_readings) = source("bad", Duration::from_millis(20), move |number| {
        if number == 1 {
            let _ = released.lock().recv();
            return Ok(13.0);
        }
        Ok(42.0)
    });
    let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
    let (running, latest) = start(vec![bad, good]);
    assert_eq!(next(&bad_readings), 1);
    for number in 1..=20 {
        assert_eq!(next(&good_readings), number);
    }
    assert_eq!(observed(&latest, SAMPLER_FAILURES.name), [1.0, 0.0]);
    release.send(()).unwrap();
    // The readings wait for each other, so both channels are received until the source was read twice more.
    let mut bad_seen = 1;
    while bad_seen < 3 {
        let _ = good_readings.try_recv();
        bad_seen = bad_readings.try_recv().unwrap_or(bad_seen);
        thread::yield_now();
    }
    // The late value of the first reading was not reported, the second one was.
    assert_eq!(observed(&latest, SYSTEM_UPTIME.name), [42.0, 7.0]);
    drop((bad_readings, good_readings));
    drop(running);
}

#[test]
fn a_hanging_source_does_not_block_the_drop() {
    let (release, bad, readings) = hanging();
    let (running, _latest) = start(vec![bad]);
    assert_eq!(next(&readings), 1);
    drop(running);
    drop(release);
}

#[test]
fn p40_nine_sources_that_hang_do_not_stop_the_tenth() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let mut plans = Vec::new();
    let mut started = Vec::new();
    for _ in 0..9 {
        let released = Arc::clone(&released);
        let (bad, readings) = source("bad", TIMEOUT, move |_| {
            // The end of the channel releases all of them, a message releases one.
            let _ = released.lock().recv();
            Ok(1.0)
        });
        plans.push(bad);
        started.push(readings);
    }
    let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
    plans.push(good);
    let (running, latest) = start(plans);
    started.iter().for_each(|readings| assert_eq!(next(readings), 1));
    for number in 1..=20 {
        assert_eq!(next(&good_readings), number);
    }
    assert_eq!(observed(&latest, SYSTEM_UPTIME.name), [7.0]);
    let threads = |running: &Running| running.shared.state.lock().readers.len();
    assert!(threads(&running) <= 11, "one for each source and one besides");
    drop(release);
    // All recover, and the surplus threads end.
    while observed(&latest, SYSTEM_UPTIME.name).len() < 10 || threads(&running) > 3 {
        started.iter().chain([&good_readings]).for_each(|readings| _ = readings.try_recv());
        thread::yield_now();
    }
    drop((started, good_readings));
    drop(running);
}

#[test]
fn p40_a_probe_that_cannot_be_made_is_made_again() {
    let (announce, made) = mpsc::sync_channel(0);
    let number = Mutex::new(0);
    let make = move || -> Box<dyn Probe> {
        let number = counted(&number);
        let _ = announce.send(number);
        assert!(number >= 3, "on purpose");
        Box::new(Call(|| Ok(42.0)))
    };
    let every = Duration::from_millis(1);
    let bad = Plan { name: "bad".into(), make: Arc::new(make), every, deadline: TIMEOUT };
    let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
    let (running, latest) = start(vec![bad, good]);
    for number in 1..=3 {
        assert_eq!(next(&made), number);
        next(&good_readings);
    }
    while observed(&latest, SYSTEM_UPTIME.name) != [42.0, 7.0] {
        next(&good_readings);
    }
    assert_eq!(observed(&latest, SAMPLER_FAILURES.name), [2.0, 0.0]);
    assert!(made.try_recv().is_err(), "a probe that works is kept");
    drop((made, good_readings));
    drop(running);
}

#[test]
fn p40_a_source_that_disappears_has_no_values_until_it_is_back() {
    struct Device(Box<dyn FnMut() -> u64 + Send>);
    impl Probe for Device {
        fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
            if (self.0)() != 2 {
                sample.value(&SYSTEM_UPTIME, 42.0);
            }
            Ok(())
        }
    }
    let (announce, readings) = mpsc::sync_channel(0);
    let number = Arc::new(Mutex::new(0));
    let make = move || -> Box<dyn Probe> {
        let (announce, number) = (announce.clone(), Arc::clone(&number));
        Box::new(Device(Box::new(move || {
            let number = counted(&number);
            // Once when it begins, and once when it may continue.
            let _ = announce.send(number);
            let _ = announce.send(number);
            number
        })))
    };
    let every = Duration::from_millis(1);
    let (running, latest) =
        start(vec![Plan { name: "device".into(), make: Arc::new(make), every, deadline: TIMEOUT }]);
    // The values of a reading are stored when the next reading begins.
    for values in [&[][..], &[42.0], &[], &[42.0]] {
        next(&readings);
        assert_eq!(observed(&latest, SYSTEM_UPTIME.name), values);
        next(&readings);
    }
    assert_eq!(observed(&latest, SAMPLER_FAILURES.name), [0.0]);
    drop(readings);
    drop(running);
}

#[test]
fn after_the_drop_only_hanging_threads_are_left() {
    let (release, bad, bad_readings) = hanging();
    let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
    let (running, latest) = start(vec![bad, good]);
    assert_eq!((next(&bad_readings), next(&good_readings)), (1, 1));
    // Its thread waits for the test, and does not hang forever.
    drop(good_readings);
    let shared = Arc::downgrade(&running.shared);
    drop(running);
    assert_eq!(Arc::strong_count(&latest), 1, "a thread that hangs keeps no values in sight");
    drop(release);
    while shared.upgrade().is_some() {
        thread::yield_now();
    }
}

#[test]
fn p40_a_subscriber_that_panics_or_hangs_stops_nothing() {
    /// Sends a message, waits for an answer, and panics.
    struct PanickingSubscriber(mpsc::SyncSender<()>, Mutex<Receiver<()>>);
    impl tracing::Subscriber for PanickingSubscriber {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            let _ = self.0.send(());
            let _ = self.1.lock().recv();
            panic!("on purpose");
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let (report, reported) = mpsc::sync_channel(0);
    let (release, released) = mpsc::channel();
    let subscriber = tracing::Dispatch::new(PanickingSubscriber(report, Mutex::new(released)));
    let (bad, bad_readings) = source("bad", TIMEOUT, |number| if number == 1 { Err("no") } else { Ok(42.0) });
    let (good, good_readings) = source("good", TIMEOUT, |_| Ok(7.0));
    // The probe is read on the thread that logs.
    let make = Arc::clone(&bad.make);
    let make = move || -> Box<dyn Probe> {
        let guard = tracing::dispatcher::set_default(&subscriber);
        // Not for the threads after the first one.
        std::mem::forget(guard);
        make()
    };
    let (running, latest) = start(vec![Plan { make: Arc::new(make), ..bad }, good]);
    assert_eq!(next(&bad_readings), 1);
    reported.recv_timeout(TIMEOUT).expect("the failure is logged");
    for number in 1..=20 {
        assert_eq!(next(&good_readings), number);
    }
    drop((release, reported));
    while observed(&latest, SYSTEM_UPTIME.name) != [42.0, 7.0] {
        let _ = (bad_readings.try_recv(), good_readings.try_recv());
        thread::yield_now();
    }
    drop((bad_readings, good_readings));
    drop(running);
}
