//! The error of a store.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use tower::BoxError;

use crate::base::error::ConfigError;
use crate::base::outcome::line;

/// The longest text of an error's sources, in bytes.
const LONGEST_SOURCES: usize = 1024;

/// Why a call to a store failed, and what to do about it.
///
/// The type is opaque so that it can grow. The `is_…` methods distinguish the kinds of errors. `Display` includes the
/// sources.
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

macro_rules! questions {
    ($($(#[$of:meta])* pub fn $name:ident = $kind:ident;)+) => {$(
        $(#[$of])*
        #[must_use]
        pub fn $name(&self) -> bool {
            self.kind == Kind::$kind
        }
    )+};
}

impl StoreError {
    /// An error of a custom store.
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

    /// A copy for another caller that the same failure concerns. The source is kept as text.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            source: self.source.as_ref().map(|source| source.to_string().into()),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    questions! {
        /// The file or its folder cannot be opened or written, or other users could read it.
        pub fn is_unwritable = Unwritable;
        /// The file is damaged or is not an SQLite database.
        pub fn is_corrupt = Corrupt;
        /// A later version of this crate wrote the file.
        pub fn is_newer_schema = NewerSchema;
        /// The file is the database of another program, or another program wrote to a Redis key of the queue.
        pub fn is_foreign = Foreign;
        /// Another process held a lock on the file for too long.
        pub fn is_locked = Locked;
        /// The disk is full, or the memory of the server.
        pub fn is_disk_full = DiskFull;
        /// The server cannot be reached or did not answer in time. It may have done what was asked.
        pub fn is_unreachable = Unreachable;
        /// The server refused the user's credentials, or the user lacks a permission.
        pub fn is_denied = Denied;
        /// The store panicked.
        pub fn is_panic = Panicked;
        /// The store did not answer in time.
        pub fn is_timeout = TimedOut;
        /// A setting is invalid. The source is the [`ConfigError`].
        pub fn is_setting = Setting;
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            // The error of the file system or network is often the source of the source.
            Some(source) => write!(f, ": {}", line(source.as_ref(), LONGEST_SOURCES)),
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
        Self { kind: Kind::Setting, message: "invalid configuration".into(), source: Some(error.into()) }
    }
}

/// The text is not a valid [`LetterId`](super::LetterId), [`Owner`](super::Owner) or
/// [`Fingerprint`](super::Fingerprint).
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
        write!(f, "invalid id `{}`: {}", self.text, self.rule)
    }
}

impl Error for ParseIdError {}
