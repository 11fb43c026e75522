//! Panics in the code of others.
//!
//! What a panic carries is code of others too: where its drop panics, that leaves the place that caught the first one.
//! So this is the only module that catches: what it gives is a [`Panic`], whose drop is safe wherever it happens.
//! `tests/house.rs` holds this.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::task::JoinError;

/// What a panic carries.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    /// What a task panicked with; none where it was ended.
    pub(crate) fn of_task(broken: JoinError) -> Option<Self> {
        broken.try_into_panic().ok().map(Self::from)
    }

    /// What it said, if that is a text.
    pub(crate) fn message(&self) -> Option<&str> {
        let payload = self.0.as_deref()?;
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }

    /// Goes on with it.
    pub(crate) fn resume(mut self) -> ! {
        resume_unwind(self.0.take().unwrap_or_else(|| Box::new("a panic")))
    }
}

impl From<Box<dyn Any + Send>> for Panic {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self(Some(payload))
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // Its drop may panic as well, and so on without end.
            mem::forget(another);
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

/// What `action` gives, or what it panicked with.
#[inline]
pub(crate) fn catch<T>(action: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(action)).map_err(Panic::from)
}

/// The output of `future`, or what it panicked with. A panic in the drop of one that has ended changes nothing.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(Some(future));
    let ended = poll_fn(|cx| {
        let polled = catch(|| future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await;
    drop(catch(|| future.set(None)));
    ended
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::panic::panic_any;
    use std::pin::Pin;
    use std::task::Context;

    use super::*;

    /// Panics when it is dropped, with another of its kind.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }

    #[test]
    fn a_panic_that_panics_when_it_is_dropped_ends_where_it_is_caught() {
        drop(catch(|| panic_any(Bomb)));
        assert!(catch(|| panic_any(Bomb)).is_err_and(|panic| panic.message().is_none()));
        assert_eq!(catch(|| panic!("on {}", "purpose")).map_err(|panic| format!("{panic:?}")), {
            Err::<(), _>("Panic(Some(\"on purpose\"))".to_owned())
        });
        let again = catch(|| catch(|| panic!("on purpose")).map_err(Panic::resume));
        assert_eq!(
            again.err().and_then(|panic| panic.message().map(str::to_owned)).as_deref(),
            Some("on purpose")
        );
    }

    #[test]
    fn it_may_be_dropped_while_its_thread_unwinds() {
        let outer = catch(|| {
            let _inner = catch(|| panic_any(Bomb));
            panic!("the outer one");
        });
        assert_eq!(outer.map_err(|panic| panic.message() == Some("the outer one")), Err::<(), _>(true));
    }

    #[tokio::test]
    async fn the_drop_of_a_future_is_caught_with_it() {
        struct Falls(Option<u32>);
        impl Future for Falls {
            type Output = u32;
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
                self.0.map_or_else(|| panic_any(Bomb), Poll::Ready)
            }
        }
        impl Drop for Falls {
            fn drop(&mut self) {
                panic_any(Bomb);
            }
        }
        assert_eq!(caught(Falls(Some(7))).await.ok(), Some(7));
        assert!(caught(Falls(None)).await.is_err());
        assert!(caught(ready(())).await.is_ok());
        let task = tokio::spawn(async { panic_any(Bomb) });
        assert!(task.await.map_err(Panic::of_task).is_err_and(|panic| panic.is_some()));
    }
}
