//! Dead letters: a request that failed for good is stored, and can be sent again.
//!
//! To read the code, start with `layer.rs` and follow a failed request through `park/` to the store. `queue.rs` is the handle,
//! and `redrive/` sends letters again.
//!
//! # Why
//! When every retry has failed, the caller gets an error and the request is lost, with the order, mail or payment in it. A
//! [`DeadLetterQueue`] parks it first: the whole request without its secrets, how it failed and when. Later you list the
//! letters, send them again or purge them.
//!
//! # One handle, many layers
//! Put the layer outside of retry, so that it sees only final failures.
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
//! - **A final failure is parked at most once, before its caller sees it.** It is counted as parked or as dropped, with the
//!   reason: see [`QueueSnapshot`].
//! - **A store that fails does not affect the caller.** The caller gets the result of its own call, no later than the park
//!   timeout. If the caller leaves, its letter is still parked, within 30 seconds.
//! - **A letter is complete**: every attempt with its outcome and its duration, including those of a retry inside of the
//!   layer (see [`Attempt`]); why the request failed; its origin; its times; and how often it was sent again.
//! - **A panic is a failure**: the request is parked, and then the panic continues. **A cancelled call is not a
//!   failure**: its caller has seen no error and may still have the request; for servers see
//!   [`DeadLetterQueueBuilder::park_cancelled`]. An error of `poll_ready` is not a failure either, because there is no
//!   request.
//! - **A redrive delivers at least once.** It removes a letter after the service has answered with success. Any number of
//!   redrives may run at once, in any number of processes. No letter is sent by two of them.
//! - **A letter is sent as it was, or not at all.** If JSON does not hold a request, its letter is evidence only: see
//!   [`DeadLetterQueue::layer`].
//! - **A damaged letter does not hide others.** It is shown as [`Payload::Unreadable`], and can be purged.
//! - **A letter that cannot be sent waits for a person**: a redrive in the background sets it aside; see [`Unsendable`].
//! - **Secrets are removed before anything is stored**: see [`DeadLetterQueueBuilder::redact`]. A body that cannot be
//!   searched for secrets is not stored: see [`DeadLetterQueueBuilder::opaque_bodies`].
//!
//! # When the store is unreachable or full
//! [`DeadLetterQueueBuilder::when_full`] decides what a full queue does. With [`DeadLetterQueueBuilder::spill`],
//! letters that the store does not take go to a SQLite file: because the store fails, does not answer in time or, under
//! [`WhenFull::Spill`], is full. They move to the store as soon as it takes them, and they count as parked. Lists and
//! counts are about the store; [`QueueSnapshot::spilled`] shows what is in the spill.
//!
//! A store that cannot be opened is an error at the start, even with a spill, so that a wrong path is found early. A Redis
//! that cannot be reached at the start is not an error if there is a spill.
//!
//! Letters that expire ([`DeadLetterQueueBuilder::expire_after`]) are removed within a minute while a queue is in use.
//! Every letter that a queue loses or removes is counted by reason: dropped, evicted, expired, purged.
//!
//! # What it needs
//! A Tokio runtime with time enabled: a task parks the letter of a caller that leaves. Requests must be `Clone` (the
//! copy is kept until the call has ended) and implement serde's traits. HTTP requests keep their body in a
//! `ReplayBody`.

mod builder;
#[cfg(feature = "serve")]
mod closing;
mod core;
mod expiry;
mod failure;
mod fingerprint;
mod groups;
#[cfg(feature = "http")]
mod http;
mod identity;
#[cfg(feature = "worker")]
mod items;
mod json;
mod layer;
mod letter;
mod metrics;
mod park;
mod queue;
mod queue_store;
mod redact;
mod redrive;
mod running;
mod sending;
mod settings;
mod snapshot;

pub use crate::store::{
    Fingerprint, Frequency, LetterFilter, LetterId, PurgeRecord, SpillReason, SpillSettings, StoreError,
    WhenFull,
};

#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use crate::layers::replay::ReplayBody;
pub use builder::DeadLetterQueueBuilder;
#[cfg(feature = "serve")]
pub(crate) use closing::Closing;
pub use groups::LetterGroup;
#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use http::{GrpcDeadLetter, GrpcDeadLetterLayer};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use http::{HttpDeadLetter, HttpDeadLetterLayer};
#[cfg(feature = "worker")]
pub(crate) use items::{HeldItem, park_item};
pub use layer::{DeadLetter, DeadLetterLayer};
pub use letter::{
    Attempt, BodyState, HeaderText, HttpRequest, Letter, Payload, RawLetter, Redaction, Unsendable,
};
pub use queue::DeadLetterQueue;
#[cfg(feature = "heal")]
pub(crate) use redrive::Redrivable;
pub use redrive::{Redrive, RedriveHandle};
pub use running::{RedriveProgress, RedriveReport, RedriveState, StopReason};
pub use sending::Redriven;
pub use settings::{DeadLetterSettings, StoreSettings};
pub use snapshot::{DropReason, QueueSnapshot};
