//! What is known of a request that failed.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::core::Core;
use super::failure::{Ended, Failure};
use super::unsendable::{RawLetter, Unsendable};
use crate::base::moment;
use crate::base::outcome::FailureKind;
use crate::layers::attempts::{Record, keep};
use crate::store::{Entry, Fingerprint, LetterId};

/// A request that failed for good, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Letter {
    /// Its id; a later letter has a larger one.
    pub id: LetterId,
    /// The queue it lies in.
    pub queue: String,
    /// The component that failed.
    pub component: String,
    /// When it failed first; stays the same over redrives.
    #[serde(with = "moment::as_micros")]
    pub first_failed: SystemTime,
    /// When it failed last.
    #[serde(with = "moment::as_micros")]
    pub last_failed: SystemTime,
    /// How it failed last.
    pub kind: FailureKind,
    /// The type of the last error as far as it can be told, or the HTTP status.
    pub error_type: String,
    /// What the last error said.
    pub message: String,
    /// What its causes said, outermost first.
    pub causes: Vec<String>,
    /// The same for all letters that failed from the same cause: a hash over component, kind, error type, message and
    /// innermost cause, of which ids, numbers, names, addresses, times and lists are left out. Codes stay, such as the
    /// status of HTTP and `os error 111`. A letter keeps it, also when a later version would make another.
    pub fingerprint: Fingerprint,
    /// How often it was tried, in the call that parked it and in redrives, by the retries inside of them too.
    pub tries: u32,
    /// How many redrives failed it since it was parked, or brought back.
    #[serde(default)]
    pub redrives: u32,
    /// Those tries, oldest first; of more than 32 the first and the last 31.
    pub attempts: Vec<Attempt>,
    /// When it may be sent again by itself; at any time if it is none.
    #[serde(with = "moment::as_micros::option", default)]
    pub due: Option<SystemTime>,
    /// When it is of no use any more and is removed; never if it is none.
    #[serde(with = "moment::as_micros::option", default)]
    pub expires: Option<SystemTime>,
    /// Whether it needs a person: redrives skip it unless a filter asks for it, since it failed too often or cannot
    /// be sent.
    #[serde(default)]
    pub set_aside: bool,
    /// Why it cannot be sent as it was, as far as that is known without the service: whether the service takes requests
    /// of its type is known once [`AutoRedrive`](super::AutoRedrive) has tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsendable: Option<Unsendable>,
    /// The trace it belongs to, in hexadecimal.
    pub trace_id: Option<String>,
    /// The span in which it failed, in hexadecimal.
    pub span_id: Option<String>,
    /// The id of whatever this request is a part of: see [`CorrelationId`](crate::telemetry::CorrelationId).
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// The service that parked it.
    #[serde(default)]
    pub service: Option<String>,
    /// The version of that service.
    #[serde(default)]
    pub service_version: Option<String>,
    /// The instance of that service, or its host.
    #[serde(default)]
    pub instance: Option<String>,
    /// The letter that was being sent when this one failed: this one comes of it.
    #[serde(default)]
    pub origin: Option<LetterId>,
    /// What was removed before it was stored.
    pub redacted: Vec<Redaction>,
    /// The request.
    pub payload: Payload,
}

/// One try to get a request through, which failed.
///
/// A retry inside of the layer tells of each of its attempts, as long as it runs in the same task: one behind a
/// `Buffer` or a spawned task is not seen, and the call is one attempt then. Of several retries inside of one call, as
/// a handler may have them, the outermost tells; of several one after the other, the last that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// When it failed.
    #[serde(with = "moment::as_micros")]
    pub at: SystemTime,
    /// How long it took. HTTP requests, redrives and attempts after a first are timed from their beginning. A plain
    /// call is timed from when it first waits for something, and took no time if it never did: to look at the clock
    /// costs more than all else that a call pays that goes well.
    #[serde(with = "crate::base::duration::option", default)]
    pub took: Option<Duration>,
    /// How it failed.
    pub kind: FailureKind,
    /// The type of its error, as [`Letter::error_type`]; empty in letters of old.
    #[serde(default)]
    pub error_type: String,
    /// What the error said; of that, the first 1,024 bytes.
    pub message: String,
    /// Whether it was a part of a redrive.
    pub redrive: bool,
    /// Which redrive, counted as [`Letter::redrives`]; 0 for the call that parked the letter.
    #[serde(default)]
    pub redrive_number: u32,
}

/// The request of a letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Payload {
    /// A plain request, as serde sees it.
    Value(Value),
    /// An HTTP request.
    Http(HttpRequest),
    /// What the store holds of a letter that cannot be read.
    Unreadable(RawLetter),
}

/// An HTTP request at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The URI, as the layer saw it.
    pub uri: String,
    /// The version, such as `HTTP/1.1`.
    pub version: String,
    /// The headers, in order; a name may stand more than once.
    pub headers: Vec<(String, HeaderText)>,
    /// Whether the body is there.
    pub body_state: BodyState,
    /// What stood after the body. It is not sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<(String, HeaderText)>,
    /// The body, or its beginning.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// The value of a header, or other bytes that are text most of the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderText {
    /// Most are text.
    Text(String),
    /// Some are not.
    Bytes(Vec<u8>),
}

/// How much of a request's body a letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyState {
    /// All of it.
    Complete,
    /// Its beginning: the rest did not come in time, or its sender failed.
    Partial,
    /// Nothing: it is larger than the cap. This many bytes were read.
    TooLarge(u64),
    /// Nothing: it could not be searched for secrets, and
    /// [`opaque_bodies`](super::DeadLetterSettings::opaque_bodies) is off. It had this many bytes.
    Unsearched(u64),
}

/// Something that was removed from a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Redaction {
    /// The value of this header. Whoever sends the request again adds it anew.
    Header(String),
    /// A part of the URI: a parameter of the query by its name, or the user's name and password.
    Uri(String),
    /// A part of the body.
    Body(String),
    /// A field of a plain request.
    Field(String),
}

impl Payload {
    /// Whether it has more than `most` bytes, near enough: the search for secrets in it takes as long.
    pub(super) fn is_larger_than(&self, most: usize) -> bool {
        match self {
            Self::Http(request) => {
                let headers = request.headers.iter().map(|(name, value)| name.len() + value.as_bytes().len());
                request.body.len() + request.uri.len() + headers.sum::<usize>() > most
            }
            Self::Value(value) => left_of(most, value).is_none(),
            Self::Unreadable(raw) => raw.size() > most as u64,
        }
    }
}

/// What is left of `most` bytes after `value`, if it has no more of them.
fn left_of(most: usize, value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => most.checked_sub(text.len() + 2),
        Value::Array(items) => items.iter().try_fold(most.checked_sub(2)?, left_of),
        Value::Object(fields) => fields.iter().try_fold(most.checked_sub(2)?, |left, (name, value)| {
            left_of(left.checked_sub(name.len() + 4)?, value)
        }),
        _ => most.checked_sub(4),
    }
}

impl HeaderText {
    /// The value as it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for HeaderText {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Vec<u8>> for HeaderText {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

impl From<HeaderText> for Vec<u8> {
    fn from(text: HeaderText) -> Self {
        match text {
            HeaderText::Text(text) => text.into_bytes(),
            HeaderText::Bytes(bytes) => bytes,
        }
    }
}

impl Default for HeaderText {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Letter {
    /// Whether the request is there as it was sent, headers that were redacted aside.
    ///
    /// One that is not would do something else than was meant, so a redrive leaves it alone.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.flaw().is_none()
    }

    /// Takes in that a redrive failed.
    pub(super) fn failed_again(&mut self, core: &Core, mut failure: Failure, took: Duration, record: Record) {
        core.clean(&mut failure);
        self.last_failed = moment::now();
        self.redrives = self.redrives.saturating_add(1);
        let (tried, tries) = Ended::attempts(record, &failure, self.last_failed, took);
        self.tries = self.tries.saturating_add(tries);
        for tried in tried {
            keep(&mut self.attempts, core.attempt(tried, self.redrives));
        }
        self.fingerprint = failure.fingerprint(&self.component);
        self.kind = failure.kind;
        self.error_type = failure.error_type;
        self.message = failure.message;
        self.causes = failure.causes;
        // It could be sent.
        self.unsendable = None;
    }

    pub(super) fn into_entry(mut self) -> Result<Entry, serde_json::Error> {
        let (head, body) = match &mut self.payload {
            // Bytes stay as they are: another version may be able to read them.
            Payload::Unreadable(raw) => {
                (Some(std::mem::take(&mut raw.head).into()), std::mem::take(&mut raw.body).into())
            }
            Payload::Http(request) => (None, std::mem::take(&mut request.body)),
            Payload::Value(_) => (None, Vec::new()),
        };
        Ok(Entry {
            head: match head {
                Some(head) => head,
                None => serde_json::to_vec(&self)?,
            },
            body,
            id: self.id,
            queue: self.queue.into(),
            component: self.component.into(),
            kind: self.kind,
            fingerprint: self.fingerprint,
            first_failed: self.first_failed,
            last_failed: self.last_failed,
            due: self.due,
            expires: self.expires,
            set_aside: self.set_aside,
        })
    }
}
