//! The handle of alternatives.

use std::fmt;
use std::sync::Arc;

use super::entry::Entry;
use super::settings::AlternativesSettings;
use crate::base::sync::atomic::{AtomicU64, AtomicUsize};

/// Connections in order, of which the first that works is used.
///
/// # Example
/// ```
/// use campanile::fallback::Alternatives;
/// use std::io;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn connect(host: &'static str) -> io::Result<&'static str> {
/// #     if host == "primary" { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(host) }
/// # }
/// let db = Alternatives::builder("db")
///     .add("primary", || connect("primary"))
///     .add("replica", || connect("replica"))
///     .build()?;
/// let answer = db.call(|connection| async move { Ok::<_, io::Error>(format!("from {connection}")) }).await?;
/// assert_eq!(answer, "from replica");
/// assert_eq!(db.snapshot().in_use, "replica");
/// # Ok(())
/// # }
/// ```
pub struct Alternatives<C> {
    pub(super) inner: Arc<Inner<C>>,
}

/// What clones of a handle share.
pub(super) struct Inner<C> {
    pub(super) name: Arc<str>,
    pub(super) settings: AlternativesSettings,
    pub(super) entries: Vec<Entry<C>>,
    /// The place of the alternative in use.
    pub(super) current: AtomicUsize,
    pub(super) changes: AtomicU64,
    /// Calls for which no alternative worked.
    pub(super) exhausted: AtomicU64,
}

impl<C> Inner<C> {
    pub(super) fn new(name: Arc<str>, settings: AlternativesSettings, entries: Vec<Entry<C>>) -> Self {
        Self {
            name,
            settings,
            entries,
            current: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
        }
    }
}

impl<C> Alternatives<C> {
    /// The name of the alternatives.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl<C> Clone for Alternatives<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<C> fmt::Debug for Alternatives<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alternatives").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
