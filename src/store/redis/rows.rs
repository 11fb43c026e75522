//! Converting letters to the format in Redis and back.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use redis::{FromRedisValue, Value, from_redis_value};

use super::keys::escaped;
use crate::base::moment::{from_micros, micros};
use crate::base::outcome::FailureKind;
use crate::store::clock::Reading;
use crate::store::error::Kind;
use crate::store::{Depth, Entry, Fingerprint, LetterId, StoreError};

/// The state of a queue, which every script returns: letters, bytes, the oldest id, and an inconsistency or an empty string.
pub(super) type QueueState = (u64, u64, String, String);

/// The metadata of a letter without its stream id. The scripts parse it too.
pub(super) fn meta(entry: &Entry) -> String {
    let (before, component) = around_size(entry);
    format!("{before}|{}|{component}", entry.size())
}

/// The metadata of a letter before and after its size.
pub(super) fn around_size(entry: &Entry) -> (String, String) {
    let moment = |moment| Option::map_or(moment, String::new(), |moment| micros(moment).to_string());
    let before = format!(
        "{}|{}|{}|{}|{}|{}|{}",
        entry.kind.as_str(),
        entry.fingerprint,
        micros(entry.first_failed),
        micros(entry.last_failed),
        moment(entry.due),
        moment(entry.expires),
        u8::from(entry.set_aside),
    );
    (before, escaped(&entry.component))
}

/// A letter without its head and body; `None` if the id is invalid. If the metadata cannot be read, the entry has the time
/// of its id: one damaged letter must not hide the others.
pub(super) fn read_meta(queue: &Arc<str>, id: &[u8], meta: &[u8], reading: Reading) -> Option<Entry> {
    let id: LetterId = std::str::from_utf8(id).ok()?.parse().ok()?;
    let read = || {
        let mut fields = std::str::from_utf8(meta).ok()?.split('|').skip(1);
        let mut next = || fields.next();
        let moment = |text: &str| text.parse().ok().map(from_micros);
        let mut entry = Entry {
            id,
            queue: Arc::clone(queue),
            kind: kind(next()?),
            fingerprint: next()?.parse().ok()?,
            first_failed: moment(next()?)?,
            last_failed: moment(next()?)?,
            due: moment(next()?),
            expires: moment(next()?),
            set_aside: next()? == "1",
            component: next().and_then(|_size| next()).map(unescaped)?,
            head: Vec::new(),
            body: Vec::new(),
        };
        reading.entry_to_wall(&mut entry);
        Some(entry)
    };
    Some(read().unwrap_or_else(|| Entry {
        id,
        queue: Arc::clone(queue),
        component: "".into(),
        kind: FailureKind::Error,
        fingerprint: Fingerprint::from_bits(0),
        first_failed: id.made_at(),
        last_failed: id.made_at(),
        due: None,
        expires: None,
        set_aside: false,
        head: Vec::new(),
        body: Vec::new(),
    }))
}

/// Letters from rows of id, metadata, head and body.
pub(super) fn entries(queue: &Arc<str>, rows: Vec<Vec<u8>>, reading: Reading) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(rows.len() / 4);
    let mut rows = rows.into_iter();
    while let (Some(id), Some(meta), Some(head), Some(body)) =
        (rows.next(), rows.next(), rows.next(), rows.next())
    {
        entries.extend(read_meta(queue, &id, &meta, reading).map(|entry| Entry { head, body, ..entry }));
    }
    entries
}

pub(super) fn depth((waiting, bytes, oldest): (u64, u64, &str)) -> Depth {
    let oldest = oldest.parse::<LetterId>().ok().map(LetterId::made_at);
    Depth { waiting, bytes, oldest, ..Depth::default() }
}

/// Parses the field of a failure count.
pub(super) fn failure(field: &str) -> Option<(Fingerprint, FailureKind, Arc<str>)> {
    let mut parts = field.split('|');
    Some((parts.next()?.parse().ok()?, kind(parts.next()?), unescaped(parts.next()?)))
}

/// Converts the answer of a script.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    from_redis_value(value).map_err(|error| {
        let message = "the answer of Redis to a script of the dead-letter store has an unexpected type; check that no \
                       proxy or other server answers in place of Redis";
        StoreError::new(Kind::Other, message).with_source(error)
    })
}

pub(super) fn kind(text: &str) -> FailureKind {
    // A later version may know more kinds.
    FailureKind::ALL.into_iter().find(|known| known.as_str() == text).unwrap_or(FailureKind::Error)
}

fn unescaped(text: &str) -> Arc<str> {
    percent_decode_str(text).decode_utf8_lossy().into()
}
