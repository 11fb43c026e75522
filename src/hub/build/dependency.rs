//! The builder of a dependency.

use std::fmt;
use std::sync::Arc;

use super::names::{built_already, check_name};
use crate::base::error::ConfigError;
use crate::dead_letter::DeadLetterQueue;
use crate::health::{Action, Check, Component, Every, Healing, Health};
use crate::hub::campanile::Campanile;
use crate::hub::config::DependencySection;
use crate::hub::dependency::{Dependency, DependencyInner};
use crate::hub::endpoint;
use crate::hub::fault::{StartError, StartFault};
use crate::layers::breaker::CircuitBreaker;
use crate::layers::fallback::Fallback;
use crate::layers::retry::Retry;
use crate::layers::timing::Timing;

/// Adds a check to health, under the name of a component.
type AddCheck = Box<dyn FnOnce(&Health, &Arc<str>) -> Result<(), ConfigError> + Send>;

/// Makes a [`Dependency`].
#[must_use = "a builder does nothing until `build`"]
pub struct DependencyBuilder {
    campanile: Campanile,
    name: Arc<str>,
    settings: DependencySection,
    /// Whether the configuration has a section of this name.
    in_config: bool,
    changed: bool,
    letters: Option<DeadLetterQueue>,
    check: Option<AddCheck>,
}

impl Campanile {
    /// Returns a builder for something that the program calls, with the settings of `[dependency.NAME]`.
    ///
    /// `name` is the name of its circuit, its retry, its queue, its timing and its component in health.
    pub fn dependency(&self, name: impl Into<Arc<str>>) -> DependencyBuilder {
        let name = name.into();
        let all = self.inner.config.settings();
        let section = all.dependency.get(&*name).cloned();
        DependencyBuilder {
            campanile: self.clone(),
            in_config: section.is_some(),
            settings: section.unwrap_or_else(|| DependencySection {
                letters: all.letters.of_new(&name),
                ..DependencySection::default()
            }),
            name,
            changed: false,
            letters: None,
            check: None,
        }
    }
}

impl DependencyBuilder {
    /// Changes the settings, unless the configuration has a section `[dependency.NAME]`: what an operator wrote wins.
    pub fn settings(mut self, change: impl FnOnce(&mut DependencySection)) -> Self {
        self.changed = true;
        if !self.in_config {
            change(&mut self.settings);
        }
        self
    }

    /// Parks what fails for good in this queue, whatever the settings say.
    pub fn letters(mut self, queue: &DeadLetterQueue) -> Self {
        self.changed = true;
        self.letters = Some(queue.clone());
        self
    }

    /// Checks the dependency at an interval: see [`Health::check`].
    pub fn check(mut self, every: Every, check: impl Check) -> Self {
        self.changed = true;
        self.check = Some(Box::new(move |health, component| {
            health.check(Arc::clone(component), every, check).map(drop)
        }));
        self
    }

    /// Runs this command when the dependency is unwell: the program and its arguments, without a shell. The setting
    /// `restart_command` wins over it, and `healing` says when and how often it runs.
    pub fn restart_command<A: Into<String>>(mut self, command: impl IntoIterator<Item = A>) -> Self {
        self.changed = true;
        if self.settings.restart_command.is_empty() {
            self.settings.restart_command = command.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Builds the dependency. The second call for a name returns the one that is there.
    ///
    /// # Errors
    /// - [`StartError::Setting`] for a setting or name that is not valid, and for a second call that changes settings.
    /// - [`StartError::Part`] if its letters do not start and the start is
    ///   [`strict`](super::super::CampanileBuilder::strict).
    pub async fn build(self) -> Result<Dependency, StartError> {
        let Self { campanile, name, settings, changed, letters, check, .. } = self;
        check_name("dependency", &name)?;
        let hub = &campanile.inner;
        let existing = hub.parts.lock().dependencies.get(&name);
        if let Some(existing) = existing {
            if changed {
                return Err(built_already(&name).into());
            }
            return Ok(existing);
        }
        let component: Arc<str> = settings.component.as_deref().map_or_else(|| Arc::clone(&name), Into::into);
        let retry = settings.retry.as_ref().map(|retry| Retry::from_settings(Arc::clone(&name), retry));
        let breaker = settings
            .breaker
            .as_ref()
            .map(|breaker| CircuitBreaker::from_settings(Arc::clone(&name), breaker));
        let (retry, breaker) = (retry.transpose()?, breaker.transpose()?);
        let letters = match (letters, &settings.letters) {
            (Some(queue), _) => Some(queue),
            (None, Some(settings)) => Some(hub.queue("dependency", &name, settings).await?),
            (None, None) => None,
        };
        let dependency = Dependency {
            inner: Arc::new(DependencyInner {
                timing: Timing::new(Arc::clone(&name)),
                fallback: Fallback::new(Arc::clone(&name)),
                telemetry: hub.telemetry.clone(),
                name: Arc::clone(&name),
                component: Arc::clone(&component),
                letters,
                retry,
                breaker,
            }),
        };
        let built = hub.parts.lock().dependencies.add(&name, dependency.clone())?;
        if !Arc::ptr_eq(&built.inner, &dependency.inner) {
            // Another task built it meanwhile.
            return Ok(built);
        }
        let watched = watch(&hub.health, &name, &component, &settings, check);
        if let Err(error) = watched {
            hub.faults.add(StartFault::new(format!("the health of dependency `{name}`"), error))?;
        }
        Ok(dependency)
    }
}

/// Registers the component, its checks and its healing.
fn watch(
    health: &Health,
    name: &Arc<str>,
    component: &Arc<str>,
    settings: &DependencySection,
    check: Option<AddCheck>,
) -> Result<(), ConfigError> {
    let mut registered = Component::new(Arc::clone(component)).critical(settings.critical);
    for other in &settings.depends_on {
        registered = registered.depends_on(other.as_str());
    }
    health.register(registered)?;
    if let Some(add) = check {
        add(health, component)?;
    }
    if let Some(endpoint) = &settings.check {
        endpoint::watch(health, component, endpoint)?;
    }
    if !settings.restart_command.is_empty() {
        let healing = Healing::new(format!("restart-{name}"), Arc::clone(component))
            .settings(settings.healing.clone())
            .action(Action::command(settings.restart_command.iter()));
        // Stays until the process ends.
        health.heal(healing)?;
    }
    Ok(())
}

impl fmt::Debug for DependencyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
