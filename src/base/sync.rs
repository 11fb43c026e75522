//! A mutex that outlives a panic.
//!
//! No lock of this crate is ever held across user code, and each critical section leaves its data whole at
//! every step, so that the poison of `std` would only turn one panic into many.

#![allow(clippy::disallowed_types)] // The one place that may.

pub(crate) use std::sync::{MutexGuard, atomic};

/// What the circuit's state machine is made of: `loom` puts its own in place, to try every order of events.
pub(crate) mod raced {
    #[cfg(not(all(test, campanile_loom)))]
    pub(crate) use super::{Mutex, MutexGuard, atomic};
    #[cfg(all(test, campanile_loom))]
    pub(crate) use loomed::{Mutex, MutexGuard, atomic};

    #[cfg(all(test, campanile_loom))]
    mod loomed {
        pub(crate) use loom::sync::{MutexGuard, atomic};

        #[derive(Debug)]
        pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub(crate) fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
                match self.0.lock() {
                    Ok(guard) => guard,
                    Err(poisoned) => poisoned.into_inner(),
                }
            }
        }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// `None` while another thread holds it.
    #[cfg(feature = "telemetry")]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
