//! When healings began, in a file: what restarts a process must not begin their hour anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::healers::Healer;
use super::hour::HOUR;
use crate::clock;
use crate::error::ConfigError;
use crate::moment;
use crate::sync::atomic::Ordering;

/// Bytes of a file that is read: what is larger is not ours.
const LARGEST: u64 = 16 * 1_024 * 1_024;

/// The beginnings of the last hour, in a file and here.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    begun: Vec<Begun>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    #[serde(with = "crate::moment::as_micros")]
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
        memory.write().map_err(|error| refused(&error))?;
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

    /// One begins now. The file has it when this returns.
    pub(super) fn begins(&mut self, component: &Arc<str>, healing: &Arc<str>) -> io::Result<()> {
        let at = moment::now();
        self.begun.retain(|begun| age(begun, at) < HOUR);
        self.begun.push(Begun { at, component: Arc::clone(component), healing: Arc::clone(healing) });
        self.write()
    }

    /// Replaces the file as a whole, so that a crash leaves the one or the other.
    fn write(&self) -> io::Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
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

    /// Puts into the file that it begins, if there is one.
    pub(super) async fn remember(&self) {
        if !self.floor.remembers.load(Ordering::Acquire) {
            return;
        }
        let (floor, component, name) =
            (Arc::clone(&self.floor), Arc::clone(&self.healing.component), Arc::clone(&self.healing.name));
        let written = tokio::task::spawn_blocking(move || {
            floor.memory.lock().as_mut().map_or(Ok(()), |memory| memory.begins(&component, &name))
        });
        if let Ok(Err(error)) = written.await {
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

fn read(path: &Path) -> io::Result<Vec<Begun>> {
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
