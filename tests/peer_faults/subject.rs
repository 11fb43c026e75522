//! A circuit breaker of either library, with the same interface.

use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, CircuitState, HalfOpen, Rejected, Window};
use tokio::sync::oneshot;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_resilience_circuitbreaker as peer;

/// The time for which a circuit stays open.
pub(crate) const OPEN_FOR: Duration = Duration::from_millis(50);

/// What the service does.
pub(crate) enum Act {
    Succeed,
    Fail,
    Panic,
    Hang,
    /// Succeeds after this time.
    Take(Duration),
    /// Waits until the test decides whether it succeeds.
    When(oneshot::Receiver<bool>),
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    ByItself,
    Refused,
}

pub(crate) type Client = BoxCloneService<Act, (), Failed>;

/// The settings that both libraries have. Both open at half of at least ten calls.
pub(crate) struct Wanted {
    pub(crate) window: Window,
    /// The number of probes that decide in half-open.
    pub(crate) permits: u32,
    /// The limit of a slow call. Eight slow calls of ten open the circuit.
    pub(crate) slow: Option<Duration>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { window: Window::count(10), permits: 2, slow: None }
    }
}

pub(crate) trait Subject {
    /// A client with its own layer.
    fn client(&self) -> Client {
        self.protect(service_fn(work).map_err(|error: &str| error.into()).boxed_clone())
    }

    /// `inner` behind its own layer.
    fn protect(&self, inner: BoxCloneService<Act, (), BoxError>) -> Client;

    fn state(&self) -> CircuitState;

    async fn force_open(&self);
}

async fn work(act: Act) -> Result<(), &'static str> {
    match act {
        Act::Succeed => Ok(()),
        Act::Fail => Err("broken"),
        Act::Panic => panic!("on purpose"),
        Act::Hang => std::future::pending().await,
        Act::Take(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        Act::When(decided) => match decided.await {
            Ok(true) => Ok(()),
            _ => Err("late"),
        },
    }
}

// ===== ours =====

pub(crate) fn ours(wanted: Wanted) -> CircuitBreaker {
    let breaker = CircuitBreaker::builder("ours")
        .window(wanted.window)
        .open_for(Backoff::constant(OPEN_FOR))
        .half_open(HalfOpen { permits: wanted.permits, max_wait: OPEN_FOR });
    match wanted.slow {
        Some(limit) => breaker.slow_call(limit, 0.8),
        None => breaker,
    }
    .build()
    .unwrap()
}

impl Subject for CircuitBreaker {
    fn protect(&self, inner: BoxCloneService<Act, (), BoxError>) -> Client {
        self.layer()
            .layer(inner)
            .map_err(|error| match Rejected::find(error.as_ref()) {
                Some(_) => Failed::Refused,
                None => Failed::ByItself,
            })
            .boxed_clone()
    }

    fn state(&self) -> CircuitState {
        CircuitBreaker::state(self)
    }

    async fn force_open(&self) {
        CircuitBreaker::force_open(self);
    }
}

// ===== tower-resilience =====

/// Its circuit, built so that all its layers share it, which is not its default.
pub(crate) struct Peer {
    layer: peer::CircuitBreakerLayer,
    pub(crate) handle: peer::CircuitBreakerHandle,
}

pub(crate) fn peer(wanted: Wanted) -> Peer {
    let (layer, handle) = peer_builder(wanted).build_with_handle().unwrap();
    Peer { layer, handle }
}

pub(crate) fn peer_builder(wanted: Wanted) -> peer::CircuitBreakerConfigBuilder<peer::DefaultClassifier> {
    let builder = peer::CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .minimum_number_of_calls(10)
        .wait_duration_in_open(OPEN_FOR)
        .permitted_calls_in_half_open(wanted.permits as usize);
    let builder = match wanted.window {
        Window::Time(time) => {
            builder.sliding_window_type(peer::SlidingWindowType::TimeBased).sliding_window_duration(time)
        }
        Window::Count(calls) => builder.sliding_window_size(calls as usize),
        window => panic!("the peer has no {window:?}"),
    };
    match wanted.slow {
        Some(limit) => builder.slow_call_duration_threshold(limit).slow_call_rate_threshold(0.8),
        None => builder,
    }
}

impl Subject for Peer {
    fn protect(&self, inner: BoxCloneService<Act, (), BoxError>) -> Client {
        self.layer.layer(inner).map_err(peer_failed).boxed_clone()
    }

    fn state(&self) -> CircuitState {
        match self.handle.state() {
            peer::CircuitState::Closed => CircuitState::Closed,
            peer::CircuitState::Open => CircuitState::Open,
            peer::CircuitState::HalfOpen => CircuitState::HalfOpen,
        }
    }

    async fn force_open(&self) {
        self.handle.force_open().await;
    }
}

pub(crate) fn peer_failed<E>(error: peer::CircuitBreakerError<E>) -> Failed {
    if error.is_circuit_open() { Failed::Refused } else { Failed::ByItself }
}

// ===== steps of the scenarios =====

pub(crate) async fn call(client: &mut Client, act: Act) -> Result<(), Failed> {
    client.ready().await?.call(act).await
}

/// Opens a closed circuit by ten failures.
pub(crate) async fn open(subject: &impl Subject) {
    let mut client = subject.client();
    for _ in 0..10 {
        assert_eq!(call(&mut client, Act::Fail).await, Err(Failed::ByItself));
    }
    assert_eq!(subject.state(), CircuitState::Open);
}

/// Opens the circuit and waits until it would admit a probe.
pub(crate) async fn open_and_wait(subject: &impl Subject) {
    open(subject).await;
    wait(OPEN_FOR).await;
}

/// Waits a little longer than `time`, because the peer reads another clock.
pub(crate) async fn wait(time: Duration) {
    tokio::time::sleep(time + time / 10).await;
}

/// A running call, and the sender that ends it.
pub(crate) struct Running {
    pub(crate) task: tokio::task::JoinHandle<Result<(), Failed>>,
    decide: oneshot::Sender<bool>,
}

impl Running {
    /// Starts a call. It has reached the service when this returns.
    pub(crate) async fn start(subject: &impl Subject) -> Self {
        let (decide, decided) = oneshot::channel();
        let mut client = subject.client();
        let task = tokio::spawn(async move { call(&mut client, Act::When(decided)).await });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        Self { task, decide }
    }

    pub(crate) async fn end(self, succeeds: bool) {
        self.decide.send(succeeds).unwrap();
        let expected = if succeeds { Ok(()) } else { Err(Failed::ByItself) };
        assert_eq!(self.task.await.unwrap(), expected);
    }
}
