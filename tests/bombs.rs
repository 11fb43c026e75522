//! User code that panics with a payload whose drop panics too. Wherever the crate catches panics of user code, it must
//! continue to work.

use std::error::Error;
use std::fmt;
use std::panic::panic_any;
use std::sync::Once;
use std::time::{Duration, SystemTime};

/// The payload of a panic. Its drop panics with another one.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

fn bang() -> ! {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<Bomb>() {
                hook(panic);
            }
        }));
    });
    panic_any(Bomb)
}

/// An error of which one function panics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Display,
    Debug,
    Source,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Display { bang() } else { f.write_str("a fault") }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Debug { bang() } else { f.write_str("Fault") }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if *self == Self::Source { bang() } else { None }
    }
}

const FAULTS: [Fault; 3] = [Fault::Display, Fault::Debug, Fault::Source];

#[cfg(all(feature = "breaker", feature = "retry", feature = "timing", feature = "dead-letters"))]
mod letters {
    use campanile::store::{
        Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord,
        Put, Settled, Store,
    };
    use campanile::{
        Backoff, CircuitBreaker, Classify, DeadLetterQueue, FailureKind, Outcome, Redrive, Retry, Timing,
    };
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_goes_through_all_layers() {
        for fault in FAULTS {
            let queue = DeadLetterQueue::in_memory(10);
            let breaker = CircuitBreaker::builder("bombs").build().unwrap();
            let retry = Retry::builder().max_attempts(2).backoff(Backoff::constant(Duration::from_millis(1)));
            let timing = Timing::new("bombs");
            let service = ServiceBuilder::new()
                .layer(queue.layer())
                .layer(retry.build().unwrap().layer())
                .layer(breaker.layer())
                .layer(timing.layer())
                .service(service_fn(move |_: u32| async move { Err::<(), _>(fault) }));
            assert!(service.oneshot(7).await.is_err());
            assert_eq!((queue.len().await.unwrap(), timing.snapshot().failed), (1, 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_serializer_and_the_classifier_of_a_request_may_panic() {
        #[derive(Clone)]
        struct Unwritable;
        impl Serialize for Unwritable {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                bang()
            }
        }
        impl<'de> Deserialize<'de> for Unwritable {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                bang()
            }
        }
        #[derive(Clone)]
        struct Judges;
        impl Classify<(), BoxError> for Judges {
            fn classify(&self, _: Result<&(), &BoxError>) -> Outcome {
                bang()
            }
        }
        let queue = DeadLetterQueue::in_memory(10);
        let fails = || Err::<(), _>(BoxError::from("broken"));
        let service = queue.layer().layer(service_fn(move |_: Unwritable| async move { fails() }));
        assert_eq!(service.oneshot(Unwritable).await.unwrap_err().to_string(), "broken");
        let service = queue.layer().classify(Judges).layer(service_fn(move |_: u32| async move { fails() }));
        assert_eq!(service.oneshot(7).await.unwrap_err().to_string(), "broken");
        assert_eq!(queue.len().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_call_is_parked_even_if_its_caller_leaves() {
        let queue = DeadLetterQueue::builder("bombs").on(Bombs { hangs: true }).unwrap();
        let layer = queue.layer();
        let service = layer.layer(service_fn(|number: u32| async move {
            if number > 0 { bang() } else { Ok::<_, BoxError>(()) }
        }));
        // The store hangs, so the caller is dropped while the panic is held back.
        let call = tokio::time::timeout(Duration::from_millis(1), service.clone().oneshot(7));
        assert!(call.await.is_err());
        let panicked = tokio::spawn(service.oneshot(8)).await.unwrap_err();
        std::mem::forget(panicked.into_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn a_redrive_continues_after_a_panic() {
        let queue = DeadLetterQueue::in_memory(10);
        let fails = queue.layer().layer(service_fn(|_: u32| async { Err::<(), _>("no") }));
        for number in 1..=3 {
            assert!(fails.clone().oneshot(number).await.is_err());
        }
        let service = service_fn(|number: u32| {
            if number == 1 {
                bang();
            }
            async move { if number == 2 { bang() } else { Ok::<_, BoxError>(()) } }
        });
        let report = queue.redrive(service, Redrive::all()).await.unwrap();
        assert_eq!((report.failed, report.redriven), (2, 1), "{report:?}");
        assert_eq!(queue.list(LetterFilter::all().kind(FailureKind::Panic)).await.unwrap().len(), 2);
    }

    /// A store that panics in each call. With `hangs`, `put` never completes instead.
    #[derive(Debug)]
    struct Bombs {
        hangs: bool,
    }

    impl Bombs {
        fn panicking<T>() -> Pending<'static, T> {
            Box::pin(async { bang() })
        }
    }

    impl Store for Bombs {
        fn put(&self, _: Entry, _: Limits) -> Pending<'_, Put> {
            if self.hangs { Box::pin(std::future::pending()) } else { bang() }
        }
        fn get<'a>(&'a self, _: &'a str, _: LetterId) -> Pending<'a, Option<Entry>> {
            Self::panicking()
        }
        fn list<'a>(&'a self, _: &'a str, _: &'a LetterFilter) -> Pending<'a, Vec<Entry>> {
            Self::panicking()
        }
        fn count<'a>(&'a self, _: &'a str, _: &'a LetterFilter) -> Pending<'a, u64> {
            bang()
        }
        fn groups<'a>(&'a self, _: &'a str, _: &'a LetterFilter) -> Pending<'a, Vec<Group>> {
            Self::panicking()
        }
        fn frequencies<'a>(&'a self, _: &'a str, _: Duration) -> Pending<'a, Vec<Frequency>> {
            Self::panicking()
        }
        fn claim<'a>(&'a self, _: &'a str, _: &'a LetterFilter, _: Claim) -> Pending<'a, Vec<Entry>> {
            Self::panicking()
        }
        fn renew<'a>(&'a self, _: &'a str, _: &'a [LetterId], _: Claim) -> Pending<'a, Vec<LetterId>> {
            Self::panicking()
        }
        fn settle<'a>(&'a self, _: &'a str, _: Owner, _: Vec<Settled>) -> Pending<'a, Vec<bool>> {
            Self::panicking()
        }
        fn purge<'a>(&'a self, _: &'a str, _: PurgeRecord) -> Pending<'a, PurgeRecord> {
            Self::panicking()
        }
        fn purges<'a>(&'a self, _: &'a str) -> Pending<'a, Vec<PurgeRecord>> {
            Self::panicking()
        }
        fn expire<'a>(&'a self, _: &'a str, _: SystemTime) -> Pending<'a, u64> {
            Self::panicking()
        }
        fn depth(&self, _: &str) -> Depth {
            bang()
        }
        fn attach(&self, _: &str, _: Limits) {
            bang()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_store_counts_as_a_failing_one() {
        let queue = DeadLetterQueue::builder("bombs").on(Bombs { hangs: false }).unwrap();
        let service = queue.layer().layer(service_fn(|_: u32| async { Err::<(), _>("no") }));
        assert_eq!(service.oneshot(7).await.unwrap_err().to_string(), "no");
        assert_eq!(queue.snapshot().waiting, 0);
        assert!(queue.list(LetterFilter::all()).await.unwrap_err().is_panic());
        assert!(queue.len().await.unwrap_err().is_panic());
    }
}

#[cfg(all(feature = "breaker", feature = "telemetry"))]
#[tokio::test(start_paused = true)]
async fn a_health_probe_runs_again_after_a_panic() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use campanile::{CircuitBreaker, CircuitState, Window};
    use tower::{Layer, ServiceExt, service_fn};

    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let breaker = CircuitBreaker::builder("bombs")
        .window(Window::count(1))
        .minimum_calls(1)
        .health_probe(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move { if number == 0 { bang() } else { Ok::<_, &str>(()) } }
        })
        .build()
        .unwrap();
    let service = breaker.layer().layer(service_fn(|(): ()| async { Err::<(), _>("no") }));
    assert!(service.oneshot(()).await.is_err());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((breaker.state(), asked.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 2));
}

#[cfg(all(feature = "telemetry", feature = "prometheus"))]
mod telemetry {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use campanile::Telemetry;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use tracing_subscriber::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Debug, Default)]
    struct Exporter(AtomicUsize);

    impl SpanExporter for Exporter {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            if self.0.fetch_add(1, Ordering::Relaxed) == 0 { bang() } else { Ok(()) }
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            bang()
        }
    }

    #[test]
    fn a_panic_in_a_value_a_callback_or_an_exporter_affects_nothing_else() {
        let telemetry = Telemetry::builder("bombs")
            .variables(|_| None)
            .prometheus()
            .span_exporter(Exporter::default())
            .build()
            .unwrap();
        let meter = telemetry.meter_provider().meter("bombs");
        let _bad = meter.u64_observable_gauge("bad").with_callback(|_| bang()).build();
        let _good = meter.u64_observable_gauge("good").with_callback(|it| it.observe(7, &[])).build();
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        tracing::subscriber::with_default(subscriber, || {
            for fine in [false, true] {
                for fault in FAULTS {
                    let error: &(dyn Error + 'static) = &fault;
                    tracing::info_span!("span", display = %fault, debug = ?fault, error)
                        .in_scope(|| tracing::error!(error, shown = %fault, printed = ?fault, "event"));
                }
                assert_eq!(telemetry.force_flush(LONG), fine);
                assert!(telemetry.prometheus_text().contains("good 7"));
            }
        });
        let _ = telemetry.shutdown(LONG);
    }
}

#[cfg(feature = "checks")]
mod health {
    use campanile::Health;
    use campanile::health::{CheckOutcome, Component, Every, FirstOf};

    use super::*;

    async fn breaks() {
        bang()
    }

    #[tokio::test(start_paused = true)]
    async fn checks_run_again_after_a_panic() {
        let health = Health::standalone();
        let check = health.check("bombs", Every::seconds(10), breaks).unwrap();
        for runs in 1..=2 {
            let report = check.run().await;
            assert_eq!((report.outcome, report.runs), (CheckOutcome::Panicked, runs));
        }
        let first_of = FirstOf::new("a", breaks).or("b", || async {});
        let check = health.check("stand-in", Every::seconds(10), first_of).unwrap();
        assert_eq!(check.run().await.outcome, CheckOutcome::Warn);
        // A check that blocks its thread and then panics.
        let slow = || async {
            std::thread::sleep(Duration::from_millis(20));
            breaks().await;
        };
        let check = health.check("slow", Every::seconds(10), slow).unwrap();
        assert_eq!(check.run().await.outcome, CheckOutcome::Panicked);
        assert_eq!(check.run().await.runs, 2);
    }

    #[cfg(feature = "heal")]
    #[tokio::test(start_paused = true)]
    async fn healings_run_again_after_a_panic_and_panicking_conditions_do_not_hold() {
        use campanile::health::{Action, Healing, HealingOutcome, When};

        let health = Health::standalone();
        health.register(Component::new("bombs")).unwrap();
        let healing =
            Healing::new("mend", "bombs").when(When::custom(|_| bang())).action(Action::new(breaks));
        let handle = health.heal(healing.verify(false).escalate(|_| breaks())).unwrap();
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
            drop(health.snapshot());
            let record = handle.run_now().await.unwrap();
            assert!(matches!(record.outcome, HealingOutcome::Panicked(_)), "{record:?}");
            tokio::task::yield_now().await;
        }
    }
}
