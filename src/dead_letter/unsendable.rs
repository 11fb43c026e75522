//! Letters that no redrive can send as they were, and what is shown of them.

use serde::{Deserialize, Serialize};

use super::letter::{BodyState, HeaderText, Letter, Payload, Redaction};
use crate::store::{Entry, LetterId};

words! {
    /// Why a letter cannot be sent as it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Unsendable {
        /// JSON does not hold the request: what is read back is another one, or cannot be read. The letter is kept as
        /// evidence only, in a form for people.
        EvidenceOnly = "evidence_only",
        /// A secret was removed from what is to be sent, headers aside.
        Redacted = "redacted",
        /// The body of an HTTP request is missing, or not all of it is there: see [`BodyState`].
        Body = "body",
        /// The service takes requests of another type, such as a later version of it.
        OtherType = "other_type",
        /// The letter itself cannot be read: it is damaged, or of another version of this crate.
        Unreadable = "unreadable",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub as_str;
    /// Every reason.
    pub ALL;
}

impl Unsendable {
    /// Whether another version of the program may be able to send it.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::OtherType | Self::Unreadable)
    }
}

/// A letter that cannot be read, as the store holds it. What the [`Letter`] around it tells comes from the row of the
/// store: its id, component, kind, fingerprint and moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RawLetter {
    /// Why it cannot be read.
    pub why: String,
    /// The letter without the body of its request: damaged JSON, as text if it is UTF-8.
    pub head: HeaderText,
    /// The body of its request, likewise.
    pub body: HeaderText,
}

impl RawLetter {
    /// The bytes of head and body.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.head.as_bytes().len() + self.body.as_bytes().len()) as u64
    }
}

impl Letter {
    /// Why no redrive can send it, whatever the service takes.
    pub(super) fn flaw(&self) -> Option<Unsendable> {
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

    /// The letter of `entry`. Where its head cannot be read, what the store knows of it.
    pub(super) fn from_entry(mut entry: Entry) -> Self {
        let mut letter = match read(&entry.head, entry.id) {
            Ok(letter) => letter,
            Err(why) => unreadable(&mut entry, why),
        };
        // The store decides when it is due and whether it is set aside: also of one whose head could not be read then.
        letter.due = entry.due;
        letter.expires = entry.expires;
        letter.set_aside = entry.set_aside;
        if let Payload::Http(request) = &mut letter.payload {
            request.body = entry.body;
        }
        letter.unsendable = letter.flaw().or(letter.unsendable);
        letter
    }
}

fn read(head: &[u8], id: LetterId) -> Result<Letter, String> {
    let letter: Letter = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    // What becomes of it is written down by the id of the row.
    if letter.id != id {
        return Err(format!("it says that it is the letter {}", letter.id));
    }
    Ok(letter)
}

fn unreadable(entry: &mut Entry, why: String) -> Letter {
    let raw = RawLetter {
        why,
        head: HeaderText::from(std::mem::take(&mut entry.head)),
        body: HeaderText::from(std::mem::take(&mut entry.body)),
    };
    Letter {
        id: entry.id,
        queue: entry.queue.to_string(),
        component: entry.component.to_string(),
        first_failed: entry.first_failed,
        last_failed: entry.last_failed,
        kind: entry.kind,
        error_type: String::new(),
        message: String::new(),
        causes: Vec::new(),
        fingerprint: entry.fingerprint,
        tries: 0,
        redrives: 0,
        attempts: Vec::new(),
        due: entry.due,
        expires: entry.expires,
        set_aside: entry.set_aside,
        unsendable: Some(Unsendable::Unreadable),
        trace_id: None,
        span_id: None,
        correlation_id: None,
        service: None,
        service_version: None,
        instance: None,
        origin: None,
        redacted: Vec::new(),
        payload: Payload::Unreadable(raw),
    }
}
