//! What a store can fail with.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use tower::BoxError;

use crate::error::ConfigError;

/// Why a store could not do what it was asked, and what to do about it.
///
/// It is opaque so that it can grow; ask it with the `is_…` questions.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Kind {
        Unwritable = "unwritable",
        Corrupt = "corrupt",
        NewerSchema = "newer_schema",
        Foreign = "foreign",
        Locked = "locked",
        DiskFull = "disk_full",
        Closed = "closed",
        Unreachable = "unreachable",
        Denied = "denied",
        Setting = "setting",
        Panicked = "panic",
        TimedOut = "timeout",
        Other = "other",
    }
    /// The kind as a metric attribute: one word in snake case.
    pub(crate) as_str;
}

impl StoreError {
    /// An error of a store of your own.
    pub fn other(error: impl Into<BoxError>) -> Self {
        Self { kind: Kind::Other, message: "the store failed".into(), source: Some(error.into()) }
    }

    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same again, for each of several callers that one failure concerns.
    pub(crate) fn again(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            source: self.source.as_ref().map(|source| source.to_string().into()),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The file or its folder cannot be opened or written.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        self.kind == Kind::Unwritable
    }

    /// The file is damaged, or is no database.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.kind == Kind::Corrupt
    }

    /// A later version of this crate wrote the file.
    #[must_use]
    pub fn is_newer_schema(&self) -> bool {
        self.kind == Kind::NewerSchema
    }

    /// The file is a database of another program.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.kind == Kind::Foreign
    }

    /// Another process held a lock on the file for too long.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.kind == Kind::Locked
    }

    /// There is no room on the disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.kind == Kind::DiskFull
    }

    /// The store has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// The server of the store is away, or does not answer in time. What was asked of it may have been done.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    /// The server of the store does not know the user, or does not allow the user what is needed.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }

    /// The store panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.kind == Kind::Panicked
    }

    /// The store did not answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// A setting is out of its range; the source is the [`ConfigError`].
    #[must_use]
    pub fn is_setting(&self) -> bool {
        self.kind == Kind::Setting
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<ConfigError> for StoreError {
    fn from(error: ConfigError) -> Self {
        Self {
            kind: Kind::Setting,
            message: "a setting is out of its range".into(),
            source: Some(error.into()),
        }
    }
}

/// Text that is no [`LetterId`](super::LetterId) or [`Fingerprint`](super::Fingerprint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseIdError {
    text: String,
    rule: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, rule: &'static str) -> Self {
        Self { text: text.to_owned(), rule }
    }
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be read: {}", self.text, self.rule)
    }
}

impl Error for ParseIdError {}
