//! The file that keeps when healings started, so that a restart does not reset their limits per hour.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::rolling_hour::HOUR;
use crate::base::error::ConfigError;
use crate::base::moment;

/// Maximum size of the file in bytes. A larger file is not one that we wrote.
const MAX_SIZE: u64 = 16 * 1_024 * 1_024;

/// The starts of the last hour, in memory and in a file.
#[derive(Debug)]
pub(super) struct StartsFile {
    path: PathBuf,
    starts: Vec<Start>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(with = "crate::base::moment::as_micros")]
    at: SystemTime,
    component: Arc<str>,
    healing: Arc<str>,
}

impl StartsFile {
    /// Reads the file, or creates it.
    pub(super) fn open(path: &Path) -> Result<Self, ConfigError> {
        let refused = |error: io::Error| {
            let allowed = format!("a file that healing wrote and can write, or a new one ({error})");
            ConfigError::new("healing.remember_in", path.display(), allowed)
        };
        let mut starts = read(path).map_err(refused)?;
        let now = moment::now();
        // A start in the future comes from a clock that was ahead. It counts as a start now.
        starts.iter_mut().for_each(|start| start.at = start.at.min(now));
        let file = Self { path: path.to_owned(), starts };
        match file.contents().write() {
            // A full disk is not an error, because the healing may be what frees it.
            Err(error) if is_full(&error) => tracing::warn!(
                target: "campanile::health",
                file = %path.display(),
                "the disk is full, so the file of healing starts cannot be written: a restart would reset the limits per \
                 hour ({error})"
            ),
            written => written.map_err(refused)?,
        }
        Ok(file)
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// The ages of the starts of the last hour, the oldest first: those of one component's healing, or all.
    pub(super) fn ages(&self, of: Option<(&str, &str)>) -> Vec<Duration> {
        let now = moment::now();
        let wanted = |start: &&Start| of.is_none_or(|of| of == (&*start.component, &*start.healing));
        let ages = self.starts.iter().filter(wanted).map(|start| age(start, now));
        let mut ages: Vec<Duration> = ages.filter(|age| *age < HOUR).collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages
    }

    /// Adds a start now, in memory.
    pub(super) fn add(&mut self, component: &Arc<str>, healing: &Arc<str>) {
        let at = moment::now();
        self.starts.retain(|start| age(start, at) < HOUR);
        self.starts.push(Start { at, component: Arc::clone(component), healing: Arc::clone(healing) });
    }

    /// The content to write to the file.
    pub(super) fn contents(&self) -> Contents {
        Contents { path: self.path.clone(), starts: self.starts.clone() }
    }
}

/// The contents of the file, to be written on another thread.
pub(super) struct Contents {
    path: PathBuf,
    starts: Vec<Start>,
}

impl Contents {
    /// Replaces the whole file, so that a crash leaves either the old or the new one.
    pub(super) fn write(&self) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        // A crash may have left a file here, and another user may have put a link or a readable file here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec(&self.starts)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

/// Zero for a start in the future, which comes from a clock that was ahead.
fn age(start: &Start, now: SystemTime) -> Duration {
    now.duration_since(start.at).unwrap_or_default()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn read(path: &Path) -> io::Result<Vec<Start>> {
    // Opening a pipe would wait for a writer.
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(io::Error::other(format!("it is larger than {MAX_SIZE} bytes")));
    }
    Ok(serde_json::from_slice(&text)?)
}
