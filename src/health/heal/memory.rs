//! When healings began, in a file: what restarts a process must not begin their hour anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::healers::Healer;
use super::hour::HOUR;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::moment;
use crate::base::sync::atomic::Ordering;

/// Bytes of a file that is read: what is larger is not ours.
const LARGEST: u64 = 16 * 1_024 * 1_024;

/// An action waits no longer for the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The beginnings of the last hour, in a file and here.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    begun: Vec<Begun>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    #[serde(with = "crate::base::moment::as_micros")]
    at: SystemTime,
    component: Arc<str>,
    healing: Arc<str>,
}

impl Memory {
    /// Reads the file, if there is one.
    pub(super) fn open(path: &Path) -> Result<Self, ConfigError> {
        let refused = |why: &dyn std::fmt::Display| {
            ConfigError::new(
                "healing.remember_in",
                path.display(),
                format!("a file of ours that can be written: {why}"),
            )
        };
        let mut begun = read(path).map_err(|error| refused(&error))?;
        let now = moment::now();
        // By a clock that was ahead. It is taken to have begun now, once.
        begun.iter_mut().for_each(|begun| begun.at = begun.at.min(now));
        let memory = Self { path: path.to_owned(), begun };
        match memory.file().write() {
            // What heals may be what makes room on a full disk.
            Err(error) if is_full(&error) => tracing::warn!(
                target: "campanile::health",
                file = %path.display(),
                "a restart may not know of the healings that begin: {error}"
            ),
            written => written.map_err(|error| refused(&error))?,
        }
        Ok(memory)
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// How long ago the healing of that name and component began, or any of them; within the last hour, the longest
    /// ago first.
    pub(super) fn ages(&self, of: Option<(&str, &str)>) -> Vec<Duration> {
        let now = moment::now();
        let wanted = |begun: &&Begun| of.is_none_or(|of| of == (&*begun.component, &*begun.healing));
        let mut ages: Vec<Duration> =
            self.begun.iter().filter(wanted).map(|begun| age(begun, now)).filter(|age| *age < HOUR).collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages
    }

    /// One begins now.
    fn begins(&mut self, component: &Arc<str>, healing: &Arc<str>) {
        let at = moment::now();
        self.begun.retain(|begun| age(begun, at) < HOUR);
        self.begun.push(Begun { at, component: Arc::clone(component), healing: Arc::clone(healing) });
    }

    /// The file as it should be.
    fn file(&self) -> Written {
        Written { path: self.path.clone(), begun: self.begun.clone() }
    }
}

/// What is to be written to a file.
struct Written {
    path: PathBuf,
    begun: Vec<Begun>,
}

impl Written {
    /// Replaces the file as a whole, so that a crash leaves the one or the other.
    fn write(&self) -> io::Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // What a crash left there, or another user: a link that leads elsewhere, or a file that others may read.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&serde_json::to_vec(&self.begun)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

impl Healer {
    /// What began in an earlier process counts.
    pub(super) fn recall(&self, memory: &Memory) {
        let ages = memory.ages(Some((&self.healing.component, &self.healing.name)));
        self.course.lock().recall(clock::now(), &ages);
    }

    /// Puts into the file that it begins, if there is one. A file system that does not answer keeps one thread, and this
    /// for [`PATIENCE`].
    pub(super) async fn remember(&self) {
        let floor = &self.floor;
        if !floor.remembers.load(Ordering::Acquire) {
            return;
        }
        if let Some(memory) = &mut *floor.memory.lock() {
            memory.begins(&self.healing.component, &self.healing.name);
        }
        let write = async {
            let mut writing = floor.writing.lock().await;
            if let Some(earlier) = &mut *writing {
                let _ = earlier.await;
                *writing = None;
            }
            let Some(file) = floor.memory.lock().as_ref().map(Memory::file) else { return Ok(()) };
            let written = writing.insert(tokio::task::spawn_blocking(move || file.write())).await;
            *writing = None;
            written.unwrap_or(Ok(()))
        };
        let silent = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"));
        if let Err(error) = timeout(PATIENCE, write).await.unwrap_or_else(silent) {
            // What heals may be what makes room on a full disk.
            tracing::warn!(
                target: "campanile::health",
                component = &*self.healing.component,
                healing = &*self.healing.name,
                "a healing begins, and a restart will not know of it: {error}"
            );
        }
    }
}

/// Zero for one by a clock that was ahead.
fn age(begun: &Begun, now: SystemTime) -> Duration {
    now.duration_since(begun.at).unwrap_or_default()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn read(path: &Path) -> io::Result<Vec<Begun>> {
    // To open a pipe would wait for one that writes to it.
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(io::Error::other("it is no plain file"));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is too large"));
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Action, Healing, HealingLimits, Health};

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_keeps_one_thread_and_no_healing() {
        let folder = tempfile::tempdir().unwrap();
        let health = Health::standalone();
        let remember_in = Some(folder.path().join("healings.json"));
        let limits = HealingLimits { remember_in, ..HealingLimits::default() };
        health.limit_healing(limits).unwrap();
        let healing = Healing::new("heal", "healed").action(Action::new(|| async {})).verify(false);
        let handle = health.heal(healing.at_most_per_hour(60)).unwrap();
        let hangs = tokio::spawn(std::future::pending());
        let floor = &handle.healer.floor;
        *floor.writing.lock().await = Some(hangs);
        for _ in 0..3 {
            handle.healer.remember().await;
        }
        assert!(floor.writing.lock().await.as_ref().is_some_and(|writing| !writing.is_finished()));
        // It answers again: the file has them all.
        floor.writing.lock().await.take().unwrap().abort();
        handle.healer.remember().await;
        assert_eq!(read(&folder.path().join("healings.json")).unwrap().len(), 4);
    }
}
