//! Dead letters: a request that failed for good is kept, and sent again when it is safe.
//!
//! # Why
//! When every retry has failed, the caller gets an error and the request is gone, along with the order, mail or
//! payment it carried. A [`DeadLetterQueue`] parks it first: the whole request, how it failed and when, with
//! secrets removed. Later you list what is there, send it again or throw it away.
//!
//! # One handle, many layers
//! The layer goes outside of retry, so that it sees only final failures.
//!
//! ```
//! use campanile::DeadLetterQueue;
//! use campanile::dead_letter::{LetterFilter, Redrive};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! let queue = DeadLetterQueue::in_memory(1_000);
//! let mut broken = ServiceBuilder::new()
//!     .layer(queue.layer())
//!     .service_fn(|order: u32| async move { Err::<(), _>(format!("order {order}: no connection")) });
//!
//! let error = broken.ready().await?.call(7).await.unwrap_err();
//! assert_eq!(error.to_string(), "order 7: no connection");
//! let letters = queue.list(LetterFilter::all()).await?;
//! assert_eq!(letters[0].message, "order 7: no connection");
//!
//! let repaired = service_fn(|order: u32| async move { Ok::<_, tower::BoxError>(order) });
//! let report = queue.redrive(repaired, Redrive::all()).await?;
//! assert_eq!((report.redriven, queue.len().await?), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **A final failure is parked at most once, before its caller sees it.** It is counted as parked or as
//!   dropped, with the reason; see [`QueueSnapshot`].
//! - **The store cannot hurt the caller.** Whatever the store does, the caller gets the result of its own call,
//!   no later than the park timeout. A letter whose caller has left is still parked, for up to 30 seconds.
//! - **A letter tells it all**: every attempt with its outcome and how long it took, those of a retry inside of the
//!   layer too (see [`Attempt`]); why it failed; where it comes from; when, and how often it was sent again.
//! - **A panic counts as a failure**: it is parked, then it goes on its way. **A cancelled call does not**: its
//!   caller has seen no error and may still hold the request; for servers see [`DeadLetterQueueBuilder::park_cancelled`]. Nor does an
//!   error of `poll_ready`: no request was handed over.
//! - **Redrive delivers at least once.** A letter is removed after the service has said that it succeeded. Any number of
//!   redrives may run at once, in any number of processes: no letter is sent by two of them.
//! - **A letter goes out as it came, or not at all.** Where JSON does not hold a request, its letter is evidence only: see
//!   [`DeadLetterQueue::layer`].
//! - **A bad letter hides no other.** One that cannot be read is shown as [`Payload::Unreadable`], and purged like all
//!   others.
//! - **What cannot be sent waits for a person**: [`AutoRedrive`] sets it aside; see [`Unsendable`].
//! - **Secrets are removed before anything is stored**: see [`DeadLetterQueueBuilder::redact`]. A body that cannot be searched for
//!   them is not stored: see [`DeadLetterQueueBuilder::opaque_bodies`].
//!
//! # When the store is away or full
//! [`DeadLetterQueueBuilder::when_full`] says what a full queue does. With [`DeadLetterQueueBuilder::spill`], letters that the store does not take,
//! because it fails, does not answer in time or, under [`WhenFull::Spill`], is full, go to a SQLite file of their own and
//! from there to the store as soon as it takes them. They count as parked. Lists and counts are about the store; what
//! is in the spill shows in [`QueueSnapshot::spilled`].
//!
//! A store that cannot be opened is an error at the start, spill or not: a wrong path should not be found out later.
//! A Redis that is away at the start is none, if there is a spill.
//!
//! Letters go when they expire ([`DeadLetterQueueBuilder::expire_after`]), within a minute of their time while a queue is in use. All
//! that a queue gives up is counted by reason: dropped, evicted, expired, purged.
//!
//! # What it needs
//! A Tokio runtime with time enabled: a task parks the letter of a caller that leaves. Requests are `Clone` (the copy is
//! kept until the call has ended) and go through serde; HTTP requests keep their body in a
//! `ReplayBody`.

mod asking;
mod core;
mod draft;
mod failure;
mod faithful;
mod future;
mod groups;
mod housekeeping;
#[cfg(feature = "http")]
mod http;
mod identity;
mod layer;
mod letter;
mod lineage;
mod observe;
mod park;
mod queue;
mod redact;
mod redrive;
mod service;
mod settings;
mod shape;
mod signed;
mod snapshot;
mod unsendable;

pub use crate::store::{
    Fingerprint, Frequency, LetterFilter, LetterId, PurgeRecord, SpillReason, SpillSettings, StoreError,
    WhenFull,
};

#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use crate::layers::replay::ReplayBody;
pub use future::DeadLetterFuture;
pub use groups::LetterGroup;
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use http::{GrpcDeadLetter, GrpcDeadLetterBody, GrpcDeadLetterLayer};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use http::{HttpDeadLetter, HttpDeadLetterLayer};
pub use layer::DeadLetterLayer;
pub use letter::{Attempt, BodyState, HeaderText, HttpRequest, Letter, Payload, Redaction};
pub use queue::{DeadLetterQueue, PurgeReport};
#[cfg(feature = "http")]
#[doc(hidden)]
pub use redrive::HttpRedrive;
pub use redrive::{
    AutoRedrive, AutoRedriveHandle, Redrivable, Redrive, RedriveProgress, RedriveReport, RedriveState,
    Redriven, StopReason,
};
#[doc(hidden)]
pub use redrive::{Judge, PlainRequest, Verdict};
pub use service::DeadLetter;
pub use settings::{DeadLetterQueueBuilder, DeadLetterSettings};
pub use snapshot::{DropReason, QueueSnapshot};
pub use unsendable::{RawLetter, Unsendable};
