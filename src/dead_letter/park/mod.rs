//! The way of a failed request to the store.
//!
//! Read the files in this order. `future.rs`: the call ends, and a [`Job`] decides whether it failed. `parking.rs`: the
//! caller waits while the letter goes to the store. `draft.rs`: the letter is made from what is known of the failure.
//! `ticket.rs`: the counters.

mod draft;
mod future;
mod parking;
mod ticket;

pub(super) use draft::Draft;
pub(super) use future::{DeadLetterFuture, Job};
#[cfg(feature = "http")]
pub(super) use parking::park;
pub(super) use parking::{Parking, park_value};
