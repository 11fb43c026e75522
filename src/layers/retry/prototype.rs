//! A service instance that is kept to be cloned.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::call_state::Rules;
use crate::base::sync::Mutex;

/// What the calls of one service share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) rules: Arc<Rules>,
    pub(super) prototype: Prototype<S>,
}

/// The instance from which each call that is retried clones its own.
///
/// A clone for every call in advance would be simpler. But nearly all calls succeed at once, and cloning a stack of
/// services costs more than calling it.
///
/// `clone` is user code, so the instance is taken out of the lock while it runs. Other calls wait for it.
pub(super) struct Prototype<S>(Mutex<Slot<S>>);

struct Slot<S> {
    service: Option<S>,
    waiting: Vec<Waker>,
}

impl<S> Prototype<S> {
    pub(super) fn new(service: S) -> Self {
        Self(Mutex::new(Slot { service: Some(service), waiting: Vec::new() }))
    }

    /// A clone. Its readiness is still unknown.
    pub(super) fn poll_clone(&self, cx: &Context<'_>) -> Poll<S>
    where
        S: Clone,
    {
        let lent = {
            let mut place = self.0.lock();
            match place.service.take() {
                Some(service) => Lent { prototype: self, service: Some(service) },
                None => {
                    if !place.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                        place.waiting.push(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        };
        lent.service.clone().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Returns the instance on drop, also after a panic.
struct Lent<'a, S> {
    prototype: &'a Prototype<S>,
    service: Option<S>,
}

impl<S> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        let mut place = self.prototype.0.lock();
        place.service = self.service.take();
        let waiting = std::mem::take(&mut place.waiting);
        drop(place);
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

    /// Its clone waits until it is told to go on.
    struct Slow(Sender<()>, Arc<Mutex<Receiver<bool>>>);

    impl Clone for Slow {
        fn clone(&self) -> Self {
            self.0.send(()).unwrap();
            assert!(self.1.lock().recv().unwrap(), "told to panic");
            Self(self.0.clone(), Arc::clone(&self.1))
        }
    }

    #[test]
    fn who_comes_while_a_clone_is_made_is_woken_after_it() {
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
                assert_eq!(prototype.0.lock().waiting.len(), 1, "one waiter is noted once");
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
