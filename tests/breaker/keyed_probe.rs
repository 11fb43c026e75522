//! A check for each key that decides when its open circuit becomes half-open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::breaker::{Cause, KeyedBreakerBuilder};
use campanile::{CircuitState, HalfOpen};

use crate::OPEN_FOR;
use crate::keyed::{KeyOf, Numbered, breaks, call, keyed, state};

/// Counts the checks.
struct Checks {
    /// By key.
    asked: Vec<AtomicUsize>,
    /// The running checks, and their maximum so far.
    running: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Answer {
    Well,
    Ill,
    /// Succeeds after this time.
    WellAfter(Duration),
}

/// Counts the end of a check, also of a dropped one.
struct Running(Arc<Checks>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Checks {
    fn of(&self, key: u64) -> usize {
        self.asked[key as usize].load(Ordering::SeqCst)
    }

    fn all(&self) -> usize {
        self.asked.iter().map(|asked| asked.load(Ordering::SeqCst)).sum()
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

/// A builder whose check of a key returns what `answer` says.
fn checked(
    answer: impl Fn(u64) -> Answer + Send + Sync + 'static,
) -> (KeyedBreakerBuilder<u64, KeyOf>, Arc<Checks>) {
    let asked = (0..1_100).map(|_| AtomicUsize::new(0)).collect();
    let checks = Arc::new(Checks { asked, running: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let asked = Arc::clone(&checks);
    let builder = keyed().half_open(HalfOpen { permits: 2, max_wait: Duration::from_secs(3) }).health_probe(
        move |key| {
            asked.asked[key as usize].fetch_add(1, Ordering::SeqCst);
            let running = asked.running.fetch_add(1, Ordering::SeqCst) + 1;
            asked.most.fetch_max(running, Ordering::SeqCst);
            let running = Running(Arc::clone(&asked));
            let answer = answer(key);
            async move {
                let _running = running;
                match answer {
                    Answer::Well => Ok(()),
                    Answer::Ill => Err("still down"),
                    Answer::WellAfter(time) => {
                        tokio::time::sleep(time).await;
                        Ok(())
                    }
                }
            }
        },
    );
    (builder, checks)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn in_state(keyed: &Numbered, wanted: CircuitState) -> usize {
    keyed.circuits().iter().filter(|(_, circuit)| circuit.state() == wanted).count()
}

#[tokio::test(start_paused = true)]
async fn each_key_is_checked_and_no_call_is_spent_on_it() {
    let (builder, checks) = checked(|key| if key == 1 { Answer::Well } else { Answer::Ill });
    let keyed = builder.build().unwrap();
    let mut transitions = keyed.subscribe();
    breaks(&keyed, 1).await;
    breaks(&keyed, 2).await;
    assert_eq!(checks.all(), 0);
    pass(OPEN_FOR).await;
    assert_eq!((checks.of(1), checks.of(2)), (1, 1));
    assert_eq!(
        (state(&keyed, 1), state(&keyed, 2)),
        (Some(CircuitState::HalfOpen), Some(CircuitState::Open))
    );
    assert!(call(&keyed, 2, true).await.unwrap_err().is_rejected(), "a caller was made the probe");
    for _ in 0..2 {
        call(&keyed, 1, true).await.unwrap();
    }
    assert_eq!(state(&keyed, 1), Some(CircuitState::Closed));
    let causes: Vec<_> = std::iter::from_fn(|| transitions.try_recv()).map(|change| change.cause).collect();
    assert!(causes.contains(&Cause::HealthProbe), "{causes:?}");
    pass(2 * OPEN_FOR).await;
    assert_eq!((checks.of(1), checks.of(2)), (1, 2), "the waits grow, and a closed circuit is not checked");
}

#[tokio::test(start_paused = true)]
async fn at_most_64_checks_run_at_a_time_and_each_key_has_its_turn() {
    let (builder, checks) = checked(|_| Answer::WellAfter(Duration::from_secs(1)));
    let keyed = builder.build().unwrap();
    for key in 0..150 {
        breaks(&keyed, key).await;
    }
    pass(OPEN_FOR + Duration::from_millis(500)).await;
    assert_eq!((checks.running(), checks.all()), (64, 64));
    pass(Duration::from_secs(1)).await;
    assert_eq!((checks.all(), in_state(&keyed, CircuitState::HalfOpen)), (128, 64));
    pass(Duration::from_secs(2)).await;
    assert_eq!((checks.all(), in_state(&keyed, CircuitState::HalfOpen)), (150, 150));
    assert_eq!((checks.running(), checks.most.load(Ordering::SeqCst)), (0, 64));
}

#[tokio::test(start_paused = true)]
async fn callers_probe_a_key_whose_check_waits_too_long_for_its_turn() {
    let hour = Duration::from_secs(3_600);
    let (builder, checks) = checked(move |key| if key < 64 { Answer::WellAfter(hour) } else { Answer::Ill });
    let keyed = builder.build().unwrap();
    for key in 0..66 {
        breaks(&keyed, key).await;
    }
    pass(OPEN_FOR + Duration::from_secs(2)).await;
    assert!(call(&keyed, 65, true).await.unwrap_err().is_rejected());
    assert_eq!(checks.of(65), 0);
    // The other checks time out after three seconds. Then this key is checked too, unless a call probes it before.
    pass(Duration::from_millis(1_500)).await;
    assert_eq!((checks.of(64), checks.of(65)), (1, 1));
    assert!(call(&keyed, 65, true).await.unwrap_err().is_rejected(), "the check decides again");

    // Its turn does not come in time, so a call probes it.
    let (builder, checks) = checked(move |_| Answer::WellAfter(hour));
    let keyed = builder.build().unwrap();
    for key in 0..192 {
        breaks(&keyed, key).await;
    }
    pass(OPEN_FOR + Duration::from_millis(3_100)).await;
    let last = (0..192).filter(|key| checks.of(*key) == 0).max().unwrap();
    for _ in 0..2 {
        call(&keyed, last, true).await.unwrap();
    }
    assert_eq!(state(&keyed, last), Some(CircuitState::Closed));
    pass(hour).await;
    assert_eq!(checks.of(last), 0, "a closed circuit is checked");
}

#[tokio::test(start_paused = true)]
async fn checks_end_when_their_circuit_is_evicted() {
    let (builder, checks) =
        checked(|key| if key < 4 { Answer::WellAfter(Duration::from_secs(2)) } else { Answer::Ill });
    let keyed = builder.max_keys(4).build().unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for key in 0..4 {
        breaks(&keyed, key).await;
    }
    let held = keyed.circuit(0);
    pass(Duration::ZERO).await;
    assert_eq!(tasks(), 4, "one task for each open circuit");
    pass(OPEN_FOR).await;
    assert_eq!((checks.running(), tasks()), (4, 8));
    for key in 10..14 {
        breaks(&keyed, key).await;
    }
    pass(Duration::ZERO).await;
    assert_eq!((checks.running(), tasks()), (0, 4), "a check of an evicted circuit runs on");
    // A flood of failing keys leaves no tasks.
    for key in 100..1_100 {
        breaks(&keyed, key).await;
    }
    for _ in 0..100 {
        pass(Duration::ZERO).await;
    }
    assert_eq!((checks.all(), tasks()), (4, 4));
    // The holder of an evicted circuit probes it by a call.
    assert_eq!(held.state(), CircuitState::Open);
    assert!(held.call(async { Ok::<_, &str>(()) }).await.is_ok());
    assert!(held.call(async { Ok::<_, &str>(()) }).await.is_ok());
    assert_eq!(held.state(), CircuitState::Closed);
    for _ in 0..4 {
        let _ = held.call(async { Err::<(), _>("broken") }).await;
    }
    assert_eq!(held.state(), CircuitState::Open);
    pass(OPEN_FOR).await;
    assert!(held.call(async { Ok::<_, &str>(()) }).await.is_ok(), "it is not checked, so callers decide");
    assert_eq!(checks.of(0), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_ends_a_running_check() {
    let (builder, checks) = checked(|_| Answer::WellAfter(Duration::from_secs(2)));
    let keyed = builder.build().unwrap();
    breaks(&keyed, 1).await;
    pass(OPEN_FOR).await;
    assert_eq!(checks.running(), 1);
    keyed.circuit(1).force_open();
    pass(Duration::ZERO).await;
    assert_eq!((checks.running(), state(&keyed, 1)), (0, Some(CircuitState::ForcedOpen)));
    keyed.circuit(1).reset();
    breaks(&keyed, 1).await;
    drop(keyed);
    pass(Duration::from_secs(3_600)).await;
    assert_eq!(checks.of(1), 1, "nothing is checked for a breaker that is gone");
}
