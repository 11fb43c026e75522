//! A letter, its attempts and its payload.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::{BodyState, HeaderText, HttpRequest};
use super::unsendable::Unsendable;
use crate::base::moment;
use crate::base::outcome::FailureKind;
use crate::store::{Fingerprint, LetterId};

/// A request that failed for good, and how it failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Letter {
    /// The id of the letter. A later letter has a larger id.
    pub id: LetterId,
    /// The name of the queue.
    pub queue: String,
    /// The component that failed.
    pub component: String,
    /// The time of the first failure. Redrives do not change it.
    #[serde(with = "moment::as_micros")]
    pub first_failed: SystemTime,
    /// The time of the last failure.
    #[serde(with = "moment::as_micros")]
    pub last_failed: SystemTime,
    /// The kind of the last failure.
    pub kind: FailureKind,
    /// The type of the last error, as far as it is known, or the HTTP status.
    pub error_type: String,
    /// The message of the last error.
    pub message: String,
    /// The messages of the causes of the last error, outermost first.
    pub causes: Vec<String>,
    /// The same for all letters that failed for the same cause: a hash of component, kind, error type, message and
    /// innermost cause. Ids, numbers, names, addresses, times and lists are left out of it. Codes are part of it, such as
    /// an HTTP status and `os error 111`. A letter keeps its fingerprint when a later version computes another.
    pub fingerprint: Fingerprint,
    /// How often the request was tried, in the call that parked it and in redrives, including the retries in them.
    pub tries: u32,
    /// How many redrives failed since the letter was parked or released.
    #[serde(default)]
    pub redrives: u32,
    /// The tries, oldest first. Of more than 32, the first and the last 31.
    pub attempts: Vec<Attempt>,
    /// When a redrive in the background may send the letter; `None` means at any time.
    #[serde(with = "moment::as_micros::option", default)]
    pub due: Option<SystemTime>,
    /// When the letter expires and is removed; `None` means never.
    #[serde(with = "moment::as_micros::option", default)]
    pub expires: Option<SystemTime>,
    /// Whether the letter needs a person, because it failed too often or cannot be sent. Redrives skip it unless their
    /// filter asks for it.
    #[serde(default)]
    pub set_aside: bool,
    /// Why the letter cannot be sent as it was. `None` if its request is complete, apart from redacted headers. Whether the
    /// service takes requests of this type is known once a redrive in the background has tried to send the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsendable: Option<Unsendable>,
    /// The id of its trace, in hexadecimal.
    pub trace_id: Option<String>,
    /// The id of the span in which the request failed, in hexadecimal.
    pub span_id: Option<String>,
    /// The correlation id of the request: see [`CorrelationId`](crate::telemetry::CorrelationId).
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// The service that parked the letter.
    #[serde(default)]
    pub service: Option<String>,
    /// The version of that service.
    #[serde(default)]
    pub service_version: Option<String>,
    /// The instance of that service, or its host.
    #[serde(default)]
    pub instance: Option<String>,
    /// The letter that was being sent when this one failed.
    #[serde(default)]
    pub origin: Option<LetterId>,
    /// The parts that were removed before the letter was stored.
    pub redacted: Vec<Redaction>,
    /// The request.
    pub payload: Payload,
}

/// One try to send a request, which failed.
///
/// A retry inside of the layer reports each of its attempts, as long as it runs in the same task. Behind a `Buffer` or a
/// spawned task it is not seen, and the call is one attempt. If one call holds nested retries, the outermost reports. If
/// it runs several retries one after the other, the last that failed reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// When it failed.
    #[serde(with = "moment::as_micros")]
    pub at: SystemTime,
    /// How long it took. HTTP requests, redrives and attempts after the first are timed from their start. A plain call
    /// is timed from its first wait, and takes no time if it never waits: reading the clock would cost a successful
    /// call more than the whole layer does.
    #[serde(with = "crate::base::duration::option", default)]
    pub took: Option<Duration>,
    /// How it failed.
    pub kind: FailureKind,
    /// The type of its error, as in [`Letter::error_type`]; empty in letters of old versions.
    #[serde(default)]
    pub error_type: String,
    /// The first 1,024 bytes of the message of its error.
    pub message: String,
    /// Whether it was part of a redrive.
    pub redrive: bool,
    /// The number of the redrive, counted as in [`Letter::redrives`]; 0 for the call that parked the letter.
    #[serde(default)]
    pub redrive_number: u32,
}

/// The request of a letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Payload {
    /// A plain request, as serde serialized it.
    Value(Value),
    /// An HTTP request.
    Http(HttpRequest),
    /// A letter that cannot be read, as the store holds it.
    Unreadable(RawLetter),
}

/// A letter that cannot be read, as the store holds it. The other fields of its [`Letter`] come from the columns of the
/// store: id, component, kind, fingerprint and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RawLetter {
    /// Why it cannot be read.
    pub why: String,
    /// The letter without the body of its request: damaged JSON, as text if it is UTF-8.
    pub head: HeaderText,
    /// The body of its request, as text if it is UTF-8.
    pub body: HeaderText,
}

/// Something that was removed from a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Redaction {
    /// The value of this header. The service that a redrive uses must add it.
    Header(String),
    /// A part of the URI: a query parameter by its name, or the user and password.
    Uri(String),
    /// A part of the body.
    Body(String),
    /// A field of a plain request.
    Field(String),
}

impl Payload {
    /// Whether it has more than about `most` bytes. The search for secrets takes time in proportion.
    pub(in crate::dead_letter) fn is_larger_than(&self, most: usize) -> bool {
        match self {
            Self::Http(request) => {
                let headers = request.headers.iter().map(|(name, value)| name.len() + value.as_bytes().len());
                request.body.len() + request.uri.len() + headers.sum::<usize>() > most
            }
            Self::Value(value) => remaining(most, value).is_none(),
            Self::Unreadable(raw) => raw.size() > most as u64,
        }
    }
}

/// The rest of `most` bytes after `value`; `None` if `value` has more.
fn remaining(most: usize, value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => most.checked_sub(text.len() + 2),
        Value::Array(items) => items.iter().try_fold(most.checked_sub(2)?, remaining),
        Value::Object(fields) => fields.iter().try_fold(most.checked_sub(2)?, |left, (name, value)| {
            remaining(left.checked_sub(name.len() + 4)?, value)
        }),
        _ => most.checked_sub(4),
    }
}

impl RawLetter {
    /// The bytes of head and body.
    fn size(&self) -> u64 {
        (self.head.as_bytes().len() + self.body.as_bytes().len()) as u64
    }
}

impl Letter {
    /// Why no redrive can send the letter, regardless of the service.
    pub(in crate::dead_letter) fn flaw(&self) -> Option<Unsendable> {
        let body = match &self.payload {
            Payload::Unreadable(_) => return Some(Unsendable::Unreadable),
            Payload::Http(request) => request.body_state,
            Payload::Value(_) => BodyState::Complete,
        };
        if self.unsendable == Some(Unsendable::EvidenceOnly) {
            return self.unsendable;
        }
        if body != BodyState::Complete {
            return Some(Unsendable::Body);
        }
        let redacted = self.redacted.iter().any(|redaction| !matches!(redaction, Redaction::Header(_)));
        redacted.then_some(Unsendable::Redacted)
    }
}
