//! A letter as a store keeps it: fields to filter by, the letter as JSON, and the body of its request.

use super::http::HeaderText;
use super::types::{Letter, Payload, RawLetter};
use super::unsendable::Unsendable;
use crate::store::{Entry, LetterId};

impl Letter {
    /// The letter of `entry`. If its JSON cannot be read, the letter holds what the fields of the entry say.
    pub(in crate::dead_letter) fn from_entry(mut entry: Entry) -> Self {
        let mut letter = match read(&entry.head, entry.id) {
            Ok(letter) => letter,
            Err(why) => unreadable(&mut entry, why),
        };
        // The fields of the entry decide. They also change for letters whose JSON cannot be read.
        letter.due = entry.due;
        letter.expires = entry.expires;
        letter.set_aside = entry.set_aside;
        if let Payload::Http(request) = &mut letter.payload {
            request.body = entry.body;
        }
        letter.unsendable = letter.flaw().or(letter.unsendable);
        letter
    }

    pub(in crate::dead_letter) fn into_entry(mut self) -> Result<Entry, serde_json::Error> {
        let (head, body) = match &mut self.payload {
            // The bytes stay unchanged: another version may be able to read them.
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

fn read(head: &[u8], id: LetterId) -> Result<Letter, String> {
    let letter: Letter = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    // Its end is recorded by the id of the entry.
    if letter.id != id {
        return Err(format!("its JSON has the id {} instead of {id}", letter.id));
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
