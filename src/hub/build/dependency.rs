//! The builder of a dependency.

use std::fmt;
use std::sync::Arc;

use super::names::{build_once, check_name};
use crate::base::error::ConfigError;
use crate::dead_letter::DeadLetterQueue;
use crate::health::{Action, Check, CheckHandle, Component, Every, Healing, Health};
use crate::hub::campanile::Campanile;
use crate::hub::config::DependencySection;
use crate::hub::dependency::{Dependency, DependencyInner};
use crate::hub::endpoint;
use crate::hub::fault::{StartError, StartFault};
use crate::hub::inner::Inner;
use crate::layers::breaker::CircuitBreaker;
use crate::layers::fallback::Fallback;
use crate::layers::retry::Retry;
use crate::layers::timing::Timing;

/// Adds a check to health: to a component, under a name, at the interval of the settings if they have one.
type AddCheck =
    Box<dyn FnOnce(&Health, &Arc<str>, &Arc<str>, Option<Every>) -> Result<CheckHandle, ConfigError> + Send>;

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

    /// Checks the dependency at an interval: see [`Health::check`]. Intervals and limits in `[dependency.NAME.check]` win
    /// over `every`, and an `address` there wins over the check.
    pub fn check(mut self, every: Every, check: impl Check) -> Self {
        self.changed = true;
        self.check = Some(Box::new(move |health, component, name, of_settings| {
            let every = of_settings.unwrap_or(every);
            health.check_named(Arc::clone(component), Arc::clone(name), every, check)
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
        let slot = hub.parts.lock().dependencies.slot(&name)?;
        build_once(&slot, &name, changed, hub.build_dependency(Arc::clone(&name), settings, letters, check))
            .await
    }
}

impl Inner {
    async fn build_dependency(
        &self,
        name: Arc<str>,
        mut settings: DependencySection,
        letters: Option<DeadLetterQueue>,
        check: Option<AddCheck>,
    ) -> Result<Dependency, StartError> {
        let component: Arc<str> = settings.component.as_deref().map_or_else(|| Arc::clone(&name), Into::into);
        if let (Some(letters), Some(component)) = (&mut settings.letters, &settings.component) {
            letters.component.get_or_insert_with(|| component.clone());
        }
        let retry = settings.retry.as_ref().map(|retry| Retry::from_settings(Arc::clone(&name), retry));
        let breaker = settings
            .breaker
            .as_ref()
            .map(|breaker| CircuitBreaker::from_settings(Arc::clone(&name), breaker));
        let (retry, breaker) = (retry.transpose()?, breaker.transpose()?);
        let letters = match (letters, &settings.letters) {
            (Some(queue), _) => Some(queue),
            (None, Some(settings)) => Some(self.queue("dependency", &name, settings).await?),
            (None, None) => None,
        };
        if let Err(error) = self.watch(&name, &component, &settings, check) {
            self.faults.add(StartFault::new(format!("the health of dependency `{name}`"), error))?;
        }
        Ok(Dependency {
            inner: Arc::new(DependencyInner {
                timing: Timing::new(Arc::clone(&name)),
                fallback: Fallback::new(Arc::clone(&name)),
                telemetry: self.telemetry.clone(),
                name,
                component,
                letters,
                retry,
                breaker,
            }),
        })
    }

    /// Registers the component, its check and its healing.
    fn watch(
        &self,
        name: &Arc<str>,
        component: &Arc<str>,
        settings: &DependencySection,
        check: Option<AddCheck>,
    ) -> Result<(), ConfigError> {
        let health = &self.health;
        let mut registered = Component::new(Arc::clone(component)).critical(settings.critical);
        for other in &settings.depends_on {
            registered = registered.depends_on(other.as_str());
        }
        if name != component {
            // The circuit has the name of the dependency.
            registered = registered.depends_on(Arc::clone(name));
        }
        health.join(registered)?;
        let added = match (&settings.check, check) {
            (Some(endpoint), _) if endpoint.address.is_some() => {
                endpoint::watch(health, component, name, endpoint)?
            }
            (Some(endpoint), Some(add)) => Some(add(health, component, name, Some(endpoint.schedule()))?),
            (None, Some(add)) => Some(add(health, component, name, None)?),
            (Some(_), None) => {
                let reason =
                    "a check needs one, unless the program gives a check by `DependencyBuilder::check`";
                return Err(ConfigError::because("check.address", "none", reason));
            }
            (None, None) => None,
        };
        self.parts.lock().checks.extend(added);
        if !settings.restart_command.is_empty() && self.healed.lock().insert(Arc::clone(name)) {
            let healing = Healing::new(format!("restart-{name}"), Arc::clone(component))
                .settings(settings.healing.clone())
                .action(Action::command(settings.restart_command.iter()));
            // Stays until the process ends.
            health.heal(healing)?;
        }
        Ok(())
    }
}

impl fmt::Debug for DependencyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
