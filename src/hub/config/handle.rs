//! [`Config`].

use std::fmt;
use std::sync::Arc;

use super::changes::Changes;
use super::fault::ConfigErrors;
use super::layers::Layers;
use super::sections::Settings;
use super::show;
use super::state::State;
use crate::base::sync::Mutex;

/// A loaded configuration. Clones share it.
#[derive(Clone)]
pub struct Config {
    inner: Arc<Inner>,
}

struct Inner {
    layers: Layers,
    /// What the process started with.
    first: State,
    current: Mutex<State>,
    /// Held during a reload, so that reloads do not overtake each other.
    reload: Mutex<()>,
}

impl Config {
    pub(super) fn new(layers: Layers, state: State) -> Self {
        for warning in &state.warnings {
            tracing::warn!(warning, "configuration");
        }
        let current = Mutex::new(state.clone());
        Self { inner: Arc::new(Inner { layers, first: state, current, reload: Mutex::new(()) }) }
    }

    /// The settings that are in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.current.lock().settings.clone()
    }

    /// What has no effect or is not advisable: variables of parts that do not exist yet, and secrets in a file that others
    /// can read. They are logged too, but the pipeline that keeps logs may not be installed yet.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.inner.current.lock().warnings.clone()
    }

    /// Reads all layers again. If anything is wrong with them, the settings in force stay. Each change is logged, and so is
    /// a reload that fails.
    ///
    /// It reads files, so call it where a thread may block.
    ///
    /// # Errors
    /// As [`ConfigLoader::load`](super::ConfigLoader::load).
    ///
    /// # Example
    /// ```
    /// use campanile::hub::config::Config;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("campanile.toml");
    /// # let write = |text: &str| std::fs::write(&path, text);
    /// write("[health]\nerror_share = 0.2")?;
    /// let config = Config::loader("checkout").file(&path).environment([]).load()?;
    ///
    /// write("[health]\nerror_share = 0.1")?;
    /// let changes = config.reload()?;
    /// let change = changes.iter().next().expect("a change");
    /// assert_eq!((change.setting.as_str(), change.to.as_str(), change.live), ("health.error_share", "0.1", true));
    ///
    /// write("[health]\nerror_share = 7")?;
    /// assert!(config.reload().is_err());
    /// assert_eq!(config.settings().health.error_share, 0.1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reload(&self) -> Result<Changes, ConfigErrors> {
        let _alone = self.inner.reload.lock();
        let state = self.inner.layers.load().inspect_err(|errors| {
            for fault in errors.faults() {
                tracing::warn!(fault = %fault, "configuration is invalid; the settings in force stay");
            }
        })?;
        let before = self.inner.current.lock().clone();
        let changes = Changes::between((&before.tree, &before.settings), (&state.tree, &state.settings));
        for change in changes.iter() {
            if change.live {
                tracing::info!(change = %change, "configuration");
            } else {
                tracing::warn!(change = %change, "configuration");
            }
        }
        for warning in state.warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
            tracing::warn!(warning, "configuration");
        }
        *self.inner.current.lock() = state;
        Ok(changes)
    }

    /// What changed since the process started. What needs a restart is in it until the process restarts.
    #[must_use]
    pub fn changes_since_start(&self) -> Changes {
        let now = self.inner.current.lock().clone();
        let first = &self.inner.first;
        Changes::between((&first.tree, &first.settings), (&now.tree, &now.settings))
    }

    /// All settings as TOML, with secrets masked. With `origin`, each that is not a default has a comment that says where
    /// it is from.
    ///
    /// # Example
    /// ```
    /// use campanile::hub::config::Config;
    ///
    /// let config = Config::loader("checkout").environment([("CAMPANILE__HEALTH__LETTERS", "50")]).load()?;
    /// assert!(config.show(true).contains("letters = 50 # variable CAMPANILE__HEALTH__LETTERS\n"));
    /// # Ok::<_, campanile::hub::config::ConfigErrors>(())
    /// ```
    #[must_use]
    pub fn show(&self, origin: bool) -> String {
        let state = self.inner.current.lock().clone();
        show::show(&state, origin)
    }
}

impl fmt::Debug for Config {
    /// Omits the settings, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("service", &self.inner.layers.service).finish_non_exhaustive()
    }
}
