//! Reading columns that may be damaged.
//!
//! SQLite does not enforce the types of columns, and a disk may return other bytes than were written. A damaged row
//! must not hide others: it is read as far as possible, and can be removed. Errors of SQLite itself, such as a
//! damaged page, stay errors.

use std::borrow::Cow;

use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};

use crate::store::{Fingerprint, LetterId};

/// The value of a column, to select its row by.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    /// May be invalid UTF-8.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// An integer; `None` for another type.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(row.get_ref(column)?.as_i64().ok())
}

/// A text; empty for another type. Invalid UTF-8 is replaced.
pub(super) fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<Cow<'r, str>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes),
        _ => Cow::Borrowed(""),
    })
}

/// A blob, or a text as bytes; empty for another type.
pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    })
}

/// The 16 bytes of an owner; `None` for anything else.
pub(super) fn owner(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<[u8; 16]>> {
    Ok(row.get_ref(column)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok()))
}

/// The id of a letter, and the value of the column if it is not valid.
///
/// An invalid value is shown as an id that sorts where SQLite sorts the row, so that a list can be read page by page.
/// A shorter blob is padded with zeros. A longer blob becomes the next id after its first 16 bytes. Any other value,
/// which SQLite sorts before all blobs, becomes eight zeros and a hash.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<(LetterId, Option<Stored>)> {
    let stored = row.get_ref(column)?;
    let mut shown = [0; 16];
    match stored {
        ValueRef::Blob(bytes) if bytes.len() <= 16 => {
            for (shown, byte) in shown.iter_mut().zip(bytes) {
                *shown = *byte;
            }
            if bytes.len() == 16 {
                return Ok((LetterId::from_bytes(shown), None));
            }
        }
        ValueRef::Blob(bytes) => {
            shown.copy_from_slice(&bytes[..16]);
            shown = u128::from_be_bytes(shown).saturating_add(1).to_be_bytes();
        }
        other => {
            let hash = Fingerprint::of([&*format!("{other:?}")]).to_bits();
            shown[8..].copy_from_slice(&hash.to_be_bytes());
        }
    }
    Ok((LetterId::from_bytes(shown), Some(stored.into())))
}

/// The id of a letter, or the id that is shown instead; `None` for `NULL`.
pub(super) fn some_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<LetterId>> {
    Ok(if row.get_ref(column)? == ValueRef::Null { None } else { Some(id(row, column)?.0) })
}

/// The conditions, with their values, for rows that [`id`] shows as `shown`. Each selects a small range of the index.
pub(super) fn conditions_for_shown(shown: LetterId) -> Vec<(&'static str, Vec<Value>)> {
    let bytes = shown.to_bytes();
    let before = u128::from_be_bytes(bytes).saturating_sub(1).to_be_bytes();
    let range = vec![Value::Blob(before.to_vec()), Value::Blob(bytes.to_vec())];
    let mut conditions = vec![("id > ? AND id < ? AND length(id) > 16", range)];
    for length in (0..16).rev().take_while(|length| bytes[*length] == 0) {
        conditions.push(("id = ?", vec![Value::Blob(bytes[..length].to_vec())]));
    }
    if bytes.starts_with(&[0; 8]) {
        conditions.push(("id < ?", vec![Value::Blob(Vec::new())]));
    }
    conditions
}
