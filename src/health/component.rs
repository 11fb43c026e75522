//! What people say about their components, and who depends on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::error::ConfigError;

/// A part of the service, or something it needs.
///
/// Spans, breakers and queues of that name speak for it.
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
    /// In the order of their names; shared with every snapshot.
    pub(super) depends_on: Arc<[Arc<str>]>,
    pub(super) critical: bool,
    pub(super) optional: bool,
    pub(super) weight: f64,
}

impl Component {
    /// A component: neither critical nor optional, of weight 1, that depends on nothing.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), depends_on: Arc::default(), critical: false, optional: false, weight: 1.0 }
    }

    /// It does not work without that one. May be said several times.
    #[must_use]
    pub fn depends_on(mut self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        if let Err(place) = self.depends_on.binary_search(&name) {
            let mut names = self.depends_on.to_vec();
            names.insert(place, name);
            self.depends_on = names.into();
        }
        self
    }

    setters! {
        /// Nothing works without it: when it fails, the service is not ready.
        #[must_use]
        pub fn critical(critical: bool) { critical = critical; }
        /// The service does not need it: it changes neither the overall status nor the overall score.
        #[must_use]
        pub fn optional(optional: bool) { optional = optional; }
        /// How much it counts in the overall score, next to the others: more than 0.
        #[must_use]
        pub fn weight(weight: f64) { weight = weight; }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check(!self.name.is_empty(), "component.name", &self.name, "any text but an empty one")?;
        let check = || {
            let weight = self.weight;
            let usable = weight.is_finite() && weight > 0.0;
            ConfigError::check(usable, "weight", weight, "finite and more than 0")?;
            let both = self.critical && self.optional;
            ConfigError::check(!both, "optional", self.optional, "false for a critical component")
        };
        check().map_err(|error| error.within(&self.path()))
    }

    /// How errors name it.
    fn path(&self) -> String {
        format!("component.{}", self.name)
    }
}

/// The components that were registered, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Components(BTreeMap<Arc<str>, Component>);

impl Components {
    pub(super) fn register(&mut self, component: Component) -> Result<(), ConfigError> {
        component.validate()?;
        if let Some(path) = self.cycle(&component) {
            return Err(ConfigError::new(
                format!("{}.depends_on", component.path()),
                format!("`{}`", path.join(" -> ")),
                "a component cannot depend on itself, not even through others",
            ));
        }
        self.0.insert(Arc::clone(&component.name), component);
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Component> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Component> {
        self.0.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// The way from `component` back to itself that it would open.
    fn cycle(&self, component: &Component) -> Option<Vec<Arc<str>>> {
        let mut seen = BTreeSet::new();
        // Depth first without recursion: a chain may be as long as there are components.
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
