//! Which calls a window drops.

use std::time::Duration;

use campanile::{CircuitState, Window};

use crate::subject::{Act, Failed, Subject, Wanted, call, open_and_wait, ours, peer, wait};

/// The number of failures that open a circuit with a window of ten after a thousand successes.
async fn failures_after_a_thousand_successes(subject: &impl Subject) -> usize {
    let mut client = subject.client();
    for _ in 0..1_000 {
        assert_eq!(call(&mut client, Act::Succeed).await, Ok(()));
    }
    for failures in 1..=5_000 {
        assert_eq!(call(&mut client, Act::Fail).await, Err(Failed::ByItself));
        if subject.state() == CircuitState::Open {
            return failures;
        }
    }
    panic!("never opened");
}

#[tokio::test(start_paused = true)]
async fn fault_01_a_count_window_slides() {
    assert_eq!(failures_after_a_thousand_successes(&ours(Wanted::default())).await, 5);
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_01_a_count_window_only_grows() {
    assert_eq!(failures_after_a_thousand_successes(&peer(Wanted::default())).await, 1_000);
}

const WINDOW: Duration = Duration::from_millis(100);

/// The state after five successful probes that are further apart than the window is long.
async fn after_distant_probes(subject: &impl Subject) -> CircuitState {
    open_and_wait(subject).await;
    let mut client = subject.client();
    for _ in 0..5 {
        let _ = call(&mut client, Act::Succeed).await;
        wait(2 * WINDOW).await;
    }
    subject.state()
}

fn with_a_short_window() -> Wanted {
    Wanted { window: Window::time(WINDOW), ..Wanted::default() }
}

#[tokio::test(start_paused = true)]
async fn fault_02_probes_further_apart_than_the_window_decide() {
    assert_eq!(after_distant_probes(&ours(with_a_short_window())).await, CircuitState::Closed);
}

#[tokio::test]
#[ignore = "shows the fault in tower-resilience 0.14; run with --ignored"]
async fn peer_02_half_open_is_never_left_with_a_short_window() {
    assert_eq!(after_distant_probes(&peer(with_a_short_window())).await, CircuitState::HalfOpen);
}
