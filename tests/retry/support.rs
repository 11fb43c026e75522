//! A scripted service and settings that several tests share.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use campanile::retry::RetryBuilder;
use campanile::{Backoff, Retry};
use tower::{BoxError, Service};

pub(crate) type Answer<T> = Result<T, BoxError>;

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Four attempts, one second apart, without a budget.
pub(crate) fn builder() -> RetryBuilder {
    Retry::builder().name("test").max_attempts(4).backoff(Backoff::constant(secs(1))).budget(None)
}

pub(crate) fn retry() -> Retry {
    builder().build().unwrap()
}

/// A counter that a test and a service share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a [`Scripted`] service does at a call.
pub(crate) enum Act<T> {
    Answer(T),
    Fail(BoxError),
    Hang,
    /// It fails the call, and is never ready again.
    FailAndBlock(BoxError),
    /// It fails the call, and then `poll_ready` returns an error.
    FailAndBreak(BoxError),
}

/// A service that does its acts in order, and keeps the requests.
///
/// It panics if it is called without being ready, as a service may.
pub(crate) struct Scripted<Req, T> {
    shared: Arc<Shared<Req, T>>,
    ready: bool,
}

struct Shared<Req, T> {
    acts: Mutex<VecDeque<Act<T>>>,
    requests: Mutex<Vec<Req>>,
    readiness: Mutex<Readiness>,
}

/// The result of `poll_ready`.
#[derive(Clone, Copy, Default)]
enum Readiness {
    #[default]
    Ready,
    Busy,
    Broken,
}

impl<Req, T> Scripted<Req, T> {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act<T>>) -> Self {
        let shared = Shared {
            acts: Mutex::new(acts.into_iter().collect()),
            requests: Mutex::default(),
            readiness: Mutex::default(),
        };
        Self { shared: Arc::new(shared), ready: false }
    }

    pub(crate) fn calls(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    pub(crate) fn requests(&self) -> Vec<Req> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

impl<Req, T> Clone for Scripted<Req, T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false }
    }
}

impl<Req, T: Send + 'static> Service<Req> for Scripted<Req, T> {
    type Response = T;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer<T>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Answer<()>> {
        match *self.shared.readiness.lock().unwrap() {
            Readiness::Ready => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
            Readiness::Busy => Poll::Pending,
            Readiness::Broken => Poll::Ready(Err("not ready any more".into())),
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        self.shared.requests.lock().unwrap().push(request);
        let act = self.shared.acts.lock().unwrap().pop_front().expect("one call too many");
        let fails = |error| Box::pin(std::future::ready(Err(error)));
        match act {
            Act::Answer(answer) => Box::pin(std::future::ready(Ok(answer))),
            Act::Fail(error) => fails(error),
            Act::Hang => Box::pin(std::future::pending()),
            Act::FailAndBlock(error) => {
                *self.shared.readiness.lock().unwrap() = Readiness::Busy;
                fails(error)
            }
            Act::FailAndBreak(error) => {
                *self.shared.readiness.lock().unwrap() = Readiness::Broken;
                fails(error)
            }
        }
    }
}

/// Fails `times` times, then answers.
pub(crate) fn fails_then<T>(times: usize, answer: T) -> Vec<Act<T>> {
    (0..times).map(|_| Act::Fail("broken".into())).chain([Act::Answer(answer)]).collect()
}
