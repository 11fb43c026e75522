//! TLS towards others: whom to trust, and whom to be.
//!
//! Whoever sends or asks over TLS is told the same files in the same words, and makes the same connector of them.

#[cfg(feature = "tls")]
mod client;

use std::path::PathBuf;

#[cfg(feature = "tls")]
pub(crate) use client::{Fault, connector};

/// Files for TLS, each with the name of the setting that it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) authorities: Option<(String, PathBuf)>,
    pub(crate) client: Option<(String, PathBuf)>,
    pub(crate) client_key: Option<(String, PathBuf)>,
}
