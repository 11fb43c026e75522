//! New settings while the program runs.

use std::sync::{Arc, Weak};

use super::campanile::Campanile;
use super::config::{Changes, ConfigErrors};
use super::inner::Inner;

impl Campanile {
    /// Reads the configuration again and takes over what has changed: the settings of breakers, retries, health, healing
    /// limits. What needs a restart is logged, and listed in the result. SIGHUP does the same, if the program was started
    /// within a Tokio runtime; it does not end the process any more.
    ///
    /// It reads files, so call it where a thread may block.
    ///
    /// # Errors
    /// When the new configuration is not valid. Then nothing changes, which is logged too.
    pub fn reload(&self) -> Result<Changes, ConfigErrors> {
        self.inner.reload()
    }
}

impl Inner {
    fn reload(&self) -> Result<Changes, ConfigErrors> {
        let _alone = self.reloading.lock();
        let before = self.config.settings();
        let changes = self.config.reload()?;
        let settings = self.config.settings();
        let apply = |part: &str, applied: Result<(), crate::base::error::ConfigError>| {
            if let Err(error) = applied {
                tracing::error!(part, %error, "new settings are not taken over; the old ones stay in use");
            }
        };
        apply("health", self.health.configure(settings.health.clone()));
        apply("healing", self.health.limit_healing(settings.healing.clone()));
        let dependencies = self.parts.lock().dependencies.all();
        for dependency in dependencies {
            // A section that is new needs a restart, because it says more than what is taken over.
            let name = dependency.name();
            if let (Some(_), Some(new)) = (before.dependency.get(name), settings.dependency.get(name)) {
                apply(dependency.name(), dependency.take_over(new));
            }
        }
        Ok(changes)
    }
}

/// Reloads on SIGHUP.
pub(super) fn on_hang_up(inner: &Arc<Inner>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        use crate::base::panics::catch;

        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        // It panics in a runtime without a driver for signals.
        let refused = |why: &str| std::io::Error::other(why.to_owned());
        let listening = catch(|| signal(SignalKind::hangup()));
        let listening = listening.unwrap_or_else(|_| Err(refused("the runtime has no driver for signals")));
        let mut hang_ups = match listening {
            Ok(hang_ups) => hang_ups,
            Err(error) => {
                tracing::warn!(%error, "SIGHUP will not reload the configuration: there is no handler for it");
                return;
            }
        };
        let weak = Arc::downgrade(inner);
        super::inner::spawn(inner, async move {
            while hang_ups.recv().await.is_some() {
                let Some(inner) = Weak::upgrade(&weak) else { return };
                // Reading a file blocks. The result is in the log.
                let _ = tokio::task::spawn_blocking(move || inner.reload().is_ok()).await;
            }
        });
    }
}
