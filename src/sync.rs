//! A mutex that outlives a panic.
//!
//! No lock of this crate is ever held across user code, and each critical section leaves its data whole at
//! every step, so that the poison of `std` would only turn one panic into many.

#![allow(clippy::disallowed_types)] // The one place that may.

pub(crate) use std::sync::{MutexGuard, atomic};

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
}
