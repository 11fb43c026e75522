//! The errors of the store, each with what to do about it.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::StoreError;
use crate::store::error::Kind;

pub(super) fn closed(path: &Path) -> StoreError {
    let message = format!("the store of dead letters in `{}` is closed", path.display());
    StoreError::new(Kind::Closed, message)
}

pub(super) fn newer_schema(path: &Path, version: i32, supported: i32) -> StoreError {
    let message = format!(
        "`{}` has schema version {version}, and this version of campanile supports versions up to {supported}; update \
         campanile, or use another file",
        path.display()
    );
    StoreError::new(Kind::NewerSchema, message)
}

pub(super) fn foreign(path: &Path) -> StoreError {
    let message = format!(
        "`{}` is the SQLite database of another program; give the letters their own file",
        path.display()
    );
    StoreError::new(Kind::Foreign, message)
}

pub(super) fn corrupt(path: &Path) -> StoreError {
    let shown = path.display();
    let message = format!(
        "`{shown}` is damaged or is no SQLite database; move it away to start with a new file, and try `sqlite3 {shown} \
         .recover` to recover letters from it"
    );
    StoreError::new(Kind::Corrupt, message)
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> StoreError {
    let message = format!(
        "cannot write letters to `{}`; the folder must exist, and this process must have write permission for the folder \
         and the file",
        path.display()
    );
    StoreError::new(Kind::Unwritable, message).with_source(error)
}

/// The file, or one that SQLite keeps beside it, must not be used for letters.
pub(super) fn refused(path: &Path, why: &str) -> StoreError {
    let message = format!(
        "cannot write letters to `{}`: {why}; use a regular file with mode 600 that belongs to the user of this process",
        path.display()
    );
    StoreError::new(Kind::Unwritable, message)
}

pub(super) fn disk_full(path: &Path, doing: &str) -> StoreError {
    let message = format!(
        "cannot {doing} `{}`: its disk is full; free some space, or redrive or purge letters",
        path.display()
    );
    StoreError::new(Kind::DiskFull, message)
}

pub(super) fn replaced_repeatedly(path: &Path, doing: &str) -> StoreError {
    let message = format!(
        "cannot {doing} `{}`: another program keeps replacing the file; stop that program, or use another file",
        path.display()
    );
    StoreError::new(Kind::Unwritable, message)
}

/// Explains an error of SQLite. `doing` is a verb such as `open`.
pub(super) fn explain(path: &Path, doing: &str, error: rusqlite::Error) -> StoreError {
    let error = without_repetition(error);
    let shown = path.display();
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return corrupt(path).with_source(error);
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            Kind::Unwritable,
            format!(
                "cannot {doing} `{shown}`; this process must have write permission for the folder and the file"
            ),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Locked,
            format!(
                "cannot {doing} `{shown}`: another process holds a lock on the file; wait for that process or stop it"
            ),
        ),
        Some(ErrorCode::DiskFull) => return disk_full(path, doing).with_source(error),
        _ => (Kind::Other, format!("cannot {doing} `{shown}`")),
    };
    StoreError::new(kind, message).with_source(error)
}

/// Drops the message of SQLite if the text of the error code, which is the source, repeats it.
fn without_repetition(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) if code.to_string().ends_with(&message) => {
            rusqlite::Error::SqliteFailure(code, None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_repeat_the_text_of_its_code() {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
        let words = code.to_string();
        let message = words.rsplit(": ").next().unwrap().to_owned();
        let error = rusqlite::Error::SqliteFailure(code, Some(message.clone()));
        let text = explain(Path::new("letters.db"), "open", error).to_string();
        assert!(text.ends_with(&words), "{text}");
        assert_eq!(text.matches(&message).count(), 1, "{text}");
        let error = rusqlite::Error::SqliteFailure(code, Some("another reason".to_owned()));
        let text = explain(Path::new("letters.db"), "open", error).to_string();
        assert!(text.contains("another reason") && text.contains(&words), "{text}");
    }
}
