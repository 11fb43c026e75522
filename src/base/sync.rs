//! A mutex without poisoning.
//!
//! No lock of this crate is held across user code, and each critical section keeps its data consistent at every step. So
//! the poisoning of `std` would only turn one panic into many.

#![allow(clippy::disallowed_types)] // The only module that may use them.

pub(crate) use std::sync::{MutexGuard, atomic};

/// The types of the state machine of a circuit. In loom tests they are those of `loom`, which tests all interleavings.
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

    /// `None` while another thread holds the lock.
    #[cfg(feature = "telemetry")]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
