//! The files that SQLite opens: plain files that only their owner may read and write.
//!
//! Nothing here opens a file that exists. POSIX takes away all locks that a process has on a file when the process
//! closes any descriptor of it, and SQLite's locks are of that kind: another process could write at the same time. What
//! must be known comes from `stat`, what must change goes by the path.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::open::{refused, unwritable};
use crate::base::sync::Mutex;
use crate::store::StoreError;

/// Held while a file is made: the descriptor that made it is closed before another thread lets SQLite open it.
static MAKING: Mutex<()> = Mutex::new(());

/// What SQLite keeps beside the file.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes the file if there is none. Refuses what is no plain file, and what another user may have put there; changes
/// nothing of a file that is there, which may be that of another program.
pub(super) fn admit(path: &Path) -> Result<(), StoreError> {
    let _making = MAKING.lock();
    make(path).map_err(|error| unwritable(path, error))?;
    each(path, &own)
}

/// Sees to it that only their owner may read or write the file and what lies beside it.
pub(super) fn secure(path: &Path) -> Result<(), StoreError> {
    each(path, &|path, file| {
        own(path, file)?;
        restrict(path, file)
    })
}

type Look<'a> = &'a dyn Fn(&Path, &Metadata) -> Result<(), StoreError>;

/// Looks at the file, and at what lies beside it.
fn each(path: &Path, look: Look<'_>) -> Result<(), StoreError> {
    let link = std::fs::symlink_metadata(path).map_err(|error| unwritable(path, error))?;
    if link.is_symlink() {
        own(path, &link)?;
    }
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Err(refused(path, "it is no plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused(path, "it is a link to a file that does not exist"));
        }
        Err(error) => return Err(unwritable(path, error)),
    }
    // Where the path is a link, they lie beside what it points to.
    let real = std::fs::canonicalize(path).map_err(|error| unwritable(path, error))?;
    let file = std::fs::symlink_metadata(&real).map_err(|error| unwritable(path, error))?;
    look(&real, &file)?;
    for companion in COMPANIONS.map(|suffix| beside(&real, suffix)) {
        match std::fs::symlink_metadata(&companion) {
            Ok(file) if file.is_file() => look(&companion, &file)?,
            Ok(_) => return Err(refused(&companion, "it is no plain file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(&companion, error)),
        }
    }
    Ok(())
}

/// Refuses what may not be this user's in a folder that others may write to, such as `/tmp`: a stranger may have put a
/// file there to read what is written to it, or a link or a second name to have the rights of another file changed. In a
/// folder with the sticky bit, what is this user's stays so.
#[cfg(target_os = "linux")]
fn own(path: &Path, file: &Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;

    const OTHERS_WRITE: u32 = 0o022;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::fs::metadata(folder).map_err(|error| unwritable(path, error))?;
    if folder.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    if user().is_some_and(|user| user != file.uid()) {
        return Err(refused(path, "it belongs to another user, in a folder that others may write to"));
    }
    if file.is_file() && file.nlink() > 1 {
        return Err(refused(path, "it has a second name, in a folder that others may write to"));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn own(_: &Path, _: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// The effective user of this process.
#[cfg(target_os = "linux")]
fn user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    // The real one, the effective one, and more.
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The path of what SQLite keeps beside a file.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut companion = path.as_os_str().to_owned();
    companion.push(suffix);
    companion.into()
}

/// Makes the file where there is nothing. SQLite would do it too, but for everybody to read, and through a link.
fn make(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path).is_ok() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Another process made it just now, or it is a link.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// SQLite keeps the log under the name by which a file is opened: two processes that open it by two names, or one after the
/// other's crash, do not see each other's log.
#[cfg(unix)]
pub(super) fn warn_of_names(path: &Path) {
    let names = std::fs::metadata(path).map_or(1, |file| std::os::unix::fs::MetadataExt::nlink(&file));
    if names > 1 {
        tracing::warn!(
            target: "campanile::dead_letter",
            file = %path.display(),
            names,
            "a file of letters has more than one name (hard links): open it by this one alone, or letters are lost"
        );
    }
}

#[cfg(not(unix))]
pub(super) fn warn_of_names(_: &Path) {}

/// Takes all rights to `file` from its group and from others.
#[cfg(unix)]
fn restrict(path: &Path, file: &Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;

    const OTHERS: u32 = 0o077;

    let exposed = |file: &Metadata| file.permissions().mode() & OTHERS != 0;
    if !exposed(file) {
        return Ok(());
    }
    let rights = file.permissions().mode() & 0o700;
    let restricted = std::fs::set_permissions(path, PermissionsExt::from_mode(rights))
        // Not every file system keeps what it is told.
        .and_then(|()| std::fs::metadata(path));
    match restricted {
        Ok(file) if exposed(&file) => {
            Err(refused(path, "its group or others have rights to it, and its file system keeps them"))
        }
        Ok(_) => {
            tracing::warn!(
                target: "campanile::dead_letter",
                file = %path.display(),
                "others had rights to a file of letters; now only its owner has"
            );
            Ok(())
        }
        // SQLite of another process removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let why = "its group or others have rights to it, and this process may not take them away";
            Err(refused(path, why).with_source(error))
        }
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: &Metadata) -> Result<(), StoreError> {
    Ok(())
}
