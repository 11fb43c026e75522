//! The builder of a server.

use std::fmt;
use std::sync::Arc;

use super::names::{built_already, check_name};
use crate::base::error::ConfigError;
use crate::health::Component;
use crate::hub::campanile::Campanile;
use crate::hub::config::ServerSection;
use crate::hub::server::{Server, ServerInner};
use crate::layers::timing::Timing;
use crate::telemetry::Correlation;

/// Makes a [`Server`].
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    campanile: Campanile,
    name: Arc<str>,
    settings: ServerSection,
    /// Whether the configuration has a section of this name.
    in_config: bool,
    changed: bool,
}

impl Campanile {
    /// Returns a builder for something that the program offers, with the settings of `[server.NAME]`.
    ///
    /// # Example
    /// ```
    /// use axum::{Router, routing::get};
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let api = campanile.server("api").build()?;
    /// let app: Router = Router::new().route("/orders/{id}", get(|| async { "fine" })).layer(api.http_layer());
    /// # let _ = app;
    /// # Ok(())
    /// # }
    /// ```
    pub fn server(&self, name: impl Into<Arc<str>>) -> ServerBuilder {
        let name = name.into();
        let section = self.inner.config.settings().server.get(&*name).cloned();
        ServerBuilder {
            campanile: self.clone(),
            in_config: section.is_some(),
            settings: section.unwrap_or_default(),
            name,
            changed: false,
        }
    }
}

impl ServerBuilder {
    /// Changes the settings, unless the configuration has a section `[server.NAME]`: what an operator wrote wins.
    pub fn settings(mut self, change: impl FnOnce(&mut ServerSection)) -> Self {
        self.changed = true;
        if !self.in_config {
            change(&mut self.settings);
        }
        self
    }

    /// Builds the server. The second call for a name returns the one that is there.
    ///
    /// # Errors
    /// For a setting or name that is not valid, and for a second call that changes settings.
    pub fn build(self) -> Result<Server, ConfigError> {
        let Self { campanile, name, settings, changed, .. } = self;
        check_name("server", &name)?;
        let hub = &campanile.inner;
        let slot = hub.parts.lock().servers.slot(&name)?;
        if let Some(existing) = slot.get() {
            return if changed { Err(built_already(&name)) } else { Ok(existing.clone()) };
        }
        let headers = settings.correlation_headers.iter().map(String::as_str);
        let correlation = match settings.correlation {
            true => Some(Correlation::default().headers(headers)?.trust_callers(settings.trust_correlation)),
            false => None,
        };
        let component = settings.component.clone().unwrap_or_else(|| name.to_string());
        let server = Server {
            inner: Arc::new(ServerInner {
                timing: Timing::new(Arc::clone(&name)),
                name: Arc::clone(&name),
                correlation,
                settings,
                telemetry: hub.telemetry.clone(),
            }),
        };
        hub.health.join(Component::new(component))?;
        match slot.set(server) {
            Err(_) if changed => Err(built_already(&name)),
            // Another thread may have built it meanwhile.
            _ => slot.get().cloned().ok_or_else(|| built_already(&name)),
        }
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
