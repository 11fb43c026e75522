//! The instance of a service from which retried calls clone their own.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::policy::Policy;
use crate::base::sync::Mutex;

/// The state that the calls of one service share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) policy: Arc<Policy>,
    pub(super) prototype: Prototype<S>,
}

/// The instance from which each retried call clones its own.
///
/// A clone for every call in advance would be simpler. But nearly all calls succeed at once, and cloning a stack of
/// services costs more than calling it.
///
/// `clone` is user code, so the instance is taken out of the lock while it runs. Other calls wait meanwhile.
pub(super) struct Prototype<S>(Mutex<Slot<S>>);

struct Slot<S> {
    service: Option<S>,
    waiting: Vec<Waker>,
}

impl<S> Prototype<S> {
    pub(super) fn new(service: S) -> Self {
        Self(Mutex::new(Slot { service: Some(service), waiting: Vec::new() }))
    }

    /// Returns a clone, which is not known to be ready.
    pub(super) fn poll_clone(&self, cx: &Context<'_>) -> Poll<S>
    where
        S: Clone,
    {
        let taken = {
            let mut slot = self.0.lock();
            match slot.service.take() {
                Some(service) => CheckedOut { prototype: self, service: Some(service) },
                None => {
                    if !slot.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                        slot.waiting.push(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        };
        taken.service.clone().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Returns the instance on drop, even after a panic.
struct CheckedOut<'a, S> {
    prototype: &'a Prototype<S>,
    service: Option<S>,
}

impl<S> Drop for CheckedOut<'_, S> {
    fn drop(&mut self) {
        let mut slot = self.prototype.0.lock();
        slot.service = self.service.take();
        let waiting = std::mem::take(&mut slot.waiting);
        drop(slot);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<S> fmt::Debug for Prototype<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prototype").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use tokio_test::{assert_pending, assert_ready, task};

    /// Its `clone` blocks until the test lets it continue.
    struct Slow(Sender<()>, Arc<Mutex<Receiver<bool>>>);

    impl Clone for Slow {
        fn clone(&self) -> Self {
            self.0.send(()).unwrap();
            assert!(self.1.lock().recv().unwrap(), "panics on purpose");
            Self(self.0.clone(), Arc::clone(&self.1))
        }
    }

    #[test]
    fn a_caller_that_waits_for_a_running_clone_is_woken() {
        for goes_well in [true, false] {
            let (entered, has_entered) = channel();
            let (go, may_go) = channel();
            let prototype = Prototype::new(Slow(entered, Arc::new(Mutex::new(may_go))));
            let mut second = task::spawn(());
            std::thread::scope(|scope| {
                let first =
                    scope.spawn(|| task::spawn(()).enter(|cx, _| prototype.poll_clone(cx).is_ready()));
                has_entered.recv().unwrap();
                assert!(second.enter(|cx, _| prototype.poll_clone(cx).is_pending()));
                assert!(second.enter(|cx, _| prototype.poll_clone(cx).is_pending()));
                assert_eq!(prototype.0.lock().waiting.len(), 1, "one waiter has one waker");
                assert!(!second.is_woken());
                go.send(goes_well).unwrap();
                assert_eq!(first.join().is_ok(), goes_well);
            });
            assert!(second.is_woken());
            go.send(true).unwrap();
            assert_ready!(second.enter(|cx, _| prototype.poll_clone(cx).map(drop)));
            drop(has_entered);
        }
        let none = Prototype(Mutex::new(Slot::<u8> { service: None, waiting: Vec::new() }));
        assert_pending!(task::spawn(()).enter(|cx, _| none.poll_clone(cx)));
    }
}
