//! Creating the files that SQLite opens, and restricting their permissions to their owner.
//!
//! This module never opens an existing file. When a process closes any descriptor of a file, POSIX releases all its
//! locks on the file, including those of SQLite; another process could then write at the same time. So this module
//! uses `stat`, and changes permissions by path.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::errors::{refused, unwritable};
use crate::base::sync::Mutex;
use crate::store::StoreError;

/// Held while a file is created, so that the descriptor that created it is closed before another thread lets SQLite
/// open the file.
static CREATING: Mutex<()> = Mutex::new(());

/// The suffixes of the files that SQLite keeps beside the database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Creates the file if it does not exist. Refuses a file that is not a regular file, or that another user may have put
/// there. It does not change an existing file, which may belong to another program.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let _creating = CREATING.lock();
    create_missing(path).map_err(|error| unwritable(path, error))?;
    for_each_file(path, &check_owner)
}

/// Restricts the permissions of the file and its companions to their owner.
pub(super) fn secure(path: &Path) -> Result<(), StoreError> {
    for_each_file(path, &|path, file| {
        check_owner(path, file)?;
        restrict(path, file)
    })
}

type Visit<'a> = &'a dyn Fn(&Path, &Metadata) -> Result<(), StoreError>;

/// Visits the file and its companions.
fn for_each_file(path: &Path, visit: Visit<'_>) -> Result<(), StoreError> {
    let link = std::fs::symlink_metadata(path).map_err(|error| unwritable(path, error))?;
    if link.is_symlink() {
        check_owner(path, &link)?;
    }
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Err(refused(path, "it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused(path, "it is a link to a file that does not exist"));
        }
        Err(error) => return Err(unwritable(path, error)),
    }
    // If the path is a link, the companions are next to its target.
    let real = std::fs::canonicalize(path).map_err(|error| unwritable(path, error))?;
    let file = std::fs::symlink_metadata(&real).map_err(|error| unwritable(path, error))?;
    visit(&real, &file)?;
    for companion in COMPANIONS.map(|suffix| with_suffix(&real, suffix)) {
        match std::fs::symlink_metadata(&companion) {
            Ok(file) if file.is_file() => visit(&companion, &file)?,
            Ok(_) => return Err(refused(&companion, "it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(&companion, error)),
        }
    }
    Ok(())
}

/// In a folder that other users can write to, such as `/tmp`, refuses a file that belongs to another user or has
/// several names. Another user may have created it to read the letters, or may have linked another file of this user
/// to have its permissions changed.
#[cfg(target_os = "linux")]
fn check_owner(path: &Path, file: &Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;

    const OTHERS_WRITE: u32 = 0o022;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::fs::metadata(folder).map_err(|error| unwritable(path, error))?;
    if folder.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    if user().is_some_and(|user| user != file.uid()) {
        return Err(refused(path, "it belongs to another user, in a folder that other users can write to"));
    }
    if file.is_file() && file.nlink() > 1 {
        return Err(refused(
            path,
            "it has a second name (a hard link), in a folder that other users can write to",
        ));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn check_owner(_: &Path, _: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// The effective user of this process.
#[cfg(target_os = "linux")]
fn user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    // The real user, the effective user, and more.
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The path with a suffix: that of a companion of the file.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut companion = path.as_os_str().to_owned();
    companion.push(suffix);
    companion.into()
}

/// Creates the file if nothing is at the path. SQLite would let all users read it, and would follow a link.
fn create_missing(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path).is_ok() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Another process has just created it, or the path is a link.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Warns of hard links. SQLite names the log after the path that it opens, so two processes that use two
/// names do not see each other's log.
#[cfg(unix)]
pub(super) fn warn_of_hard_links(path: &Path) {
    let names = std::fs::metadata(path).map_or(1, |file| std::os::unix::fs::MetadataExt::nlink(&file));
    if names > 1 {
        tracing::warn!(
            target: "campanile::dead_letter",
            file = %path.display(),
            names,
            "the dead-letter file has several names (hard links), and opening it by two of them loses letters; always use \
             this path, or remove the other names"
        );
    }
}

#[cfg(not(unix))]
pub(super) fn warn_of_hard_links(_: &Path) {}

/// Removes all permissions of the group and of others.
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
        // Some file systems ignore the change.
        .and_then(|()| std::fs::metadata(path));
    match restricted {
        Ok(file) if exposed(&file) => {
            Err(refused(path, "other users can access it, and its file system cannot change that"))
        }
        Ok(_) => {
            tracing::warn!(
                target: "campanile::dead_letter",
                file = %path.display(),
                "other users could access a dead-letter file; its permissions are now restricted to its owner"
            );
            Ok(())
        }
        // Another process has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let why = "other users can access it, and this process lacks the permission to change that";
            Err(refused(path, why).with_source(error))
        }
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: &Metadata) -> Result<(), StoreError> {
    Ok(())
}
