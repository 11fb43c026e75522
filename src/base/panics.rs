//! Catches panics in code outside this crate.
//!
//! The payload of a panic is such code too, and its drop may panic again. So this is the only module that catches
//! panics. It returns a [`Panic`], whose drop never panics. `tests/house.rs` checks this.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::task::JoinError;

/// The payload of a panic.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    /// The panic of a task; `None` if the task was aborted.
    pub(crate) fn of_task(broken: JoinError) -> Option<Self> {
        broken.try_into_panic().ok().map(Self::from)
    }

    /// The message, if the payload is a text.
    pub(crate) fn message(&self) -> Option<&str> {
        let payload = self.0.as_deref()?;
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }

    /// Resumes the panic.
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
            // The drop of this payload may panic too, so it is leaked.
            mem::forget(another);
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

/// The result of `action`, or its panic.
#[inline]
pub(crate) fn catch<T>(action: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(action)).map_err(Panic::from)
}

/// The output of `future`, or its panic. If its drop panics afterwards, that panic is ignored.
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

    /// Panics when it is dropped, with another `Bomb`.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_is_dropped_safely() {
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
    fn a_panic_may_be_dropped_while_its_thread_unwinds() {
        let outer = catch(|| {
            let _inner = catch(|| panic_any(Bomb));
            panic!("the outer one");
        });
        assert_eq!(outer.map_err(|panic| panic.message() == Some("the outer one")), Err::<(), _>(true));
    }

    #[tokio::test]
    async fn a_panic_in_the_drop_of_a_future_is_caught() {
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
