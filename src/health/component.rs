//! Components, and which depends on which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::error::ConfigError;

/// A part of the service, or something that it depends on.
///
/// Spans, breakers and queues of the same name are its evidence.
///
/// # Example
/// ```
/// use campanile::health::{Component, Health};
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let health = Health::standalone();
/// health.register(Component::new("payments").depends_on("db").critical(true))?;
/// health.register(Component::new("recommendations").optional(true))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub(super) name: Arc<str>,
    /// Sorted by name; shared with every snapshot.
    pub(super) depends_on: Arc<[Arc<str>]>,
    pub(super) critical: bool,
    pub(super) optional: bool,
    pub(super) weight: f64,
}

impl Component {
    /// A component that is neither critical nor optional, has weight 1 and depends on nothing.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), depends_on: Arc::default(), critical: false, optional: false, weight: 1.0 }
    }

    /// Adds a component that this one does not work without.
    #[must_use]
    pub fn depends_on(mut self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        if let Err(index) = self.depends_on.binary_search(&name) {
            let mut names = self.depends_on.to_vec();
            names.insert(index, name);
            self.depends_on = names.into();
        }
        self
    }

    setters! {
        /// Whether the process is not ready while this component fails. Default: no.
        #[must_use]
        pub fn critical(critical: bool) { critical = critical; }
        /// Whether the overall status and score leave this component out. Default: no.
        #[must_use]
        pub fn optional(optional: bool) { optional = optional; }
        /// Its weight in the overall score: more than 0. Default 1.
        #[must_use]
        pub fn weight(weight: f64) { weight = weight; }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(!self.name.is_empty(), "component.name", &self.name, "a text that is not empty")?;
        let check = || {
            let weight = self.weight;
            let usable = weight.is_finite() && weight > 0.0;
            ConfigError::check(usable, "weight", weight, "finite and more than 0")?;
            let both = self.critical && self.optional;
            ConfigError::check(!both, "optional", self.optional, "false for a critical component")
        };
        check().map_err(|error| error.within(&self.path()))
    }

    /// Its path in errors.
    fn path(&self) -> String {
        format!("component.{}", self.name)
    }
}

/// The registered components, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Components(BTreeMap<Arc<str>, Component>);

impl Components {
    pub(super) fn register(&mut self, component: Component) -> Result<(), ConfigError> {
        component.validate()?;
        if let Some(path) = self.cycle(&component) {
            return Err(ConfigError::because(
                format!("{}.depends_on", component.path()),
                format!("`{}`", path.join(" -> ")),
                "a component must not depend on itself, directly or through others",
            ));
        }
        self.0.insert(Arc::clone(&component.name), component);
        Ok(())
    }

    #[cfg(feature = "hub")]
    pub(super) fn join(&mut self, component: Component) -> Result<(), ConfigError> {
        let Some(there) = self.get(&component.name) else { return self.register(component) };
        let critical = there.critical || component.critical;
        let joined = component.depends_on.iter().cloned().fold(there.clone(), Component::depends_on);
        self.register(joined.critical(critical))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Component> {
        self.0.get(name)
    }

    /// All components, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Component> {
        self.0.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// The path from `component` back to itself, if it would close a cycle.
    fn cycle(&self, component: &Component) -> Option<Vec<Arc<str>>> {
        let mut seen = BTreeSet::new();
        // Depth first without recursion: a chain can be as long as there are components.
        let mut open: Vec<Vec<Arc<str>>> = component
            .depends_on
            .iter()
            .map(|next| vec![Arc::clone(&component.name), Arc::clone(next)])
            .collect();
        while let Some(path) = open.pop() {
            let last = path.last()?;
            if *last == component.name {
                return Some(path);
            }
            if !seen.insert(Arc::clone(last)) {
                continue;
            }
            for next in self.get(last).into_iter().flat_map(|last| &*last.depends_on) {
                open.push(path.iter().chain([next]).cloned().collect());
            }
        }
        None
    }
}
