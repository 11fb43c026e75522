//! Finds the breakers of the process, for an admin page.

use super::handle::{self, CircuitBreaker};
use super::keyed::AnyKeyedBreaker;

impl CircuitBreaker {
    /// Returns all breakers of the process that a handle, a layer or a service still holds, oldest first. For keyed
    /// breakers see [`CircuitBreaker::all_keyed`].
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// for breaker in CircuitBreaker::all() {
    ///     println!("{}: {}", breaker.name(), breaker.state());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all() -> Vec<Self> {
        handle::REGISTRY.living().into_iter().map(|circuit| Self { circuit }).collect()
    }

    /// Returns the breakers of [`CircuitBreaker::all`], and the circuits of keyed breakers, with this name; for an admin
    /// page.
    ///
    /// # Example
    /// ```
    /// use campanile::{CircuitBreaker, CircuitState};
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// CircuitBreaker::named("payments").iter().for_each(CircuitBreaker::force_open);
    /// assert_eq!(payments.state(), CircuitState::ForcedOpen);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Vec<Self> {
        let mut named = Self::all();
        let is_of = |keyed: &AnyKeyedBreaker| name.starts_with(keyed.name());
        named.extend(
            Self::all_keyed().iter().filter(|keyed| is_of(keyed)).flat_map(AnyKeyedBreaker::circuits),
        );
        named.retain(|breaker| breaker.name() == name);
        named
    }

    /// Returns all keyed breakers of the process that a handle, a layer or a service still holds, oldest first.
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let tenants = CircuitBreaker::keyed("tenants", |tenant: &u64| *tenant).build()?;
    /// for keyed in CircuitBreaker::all_keyed() {
    ///     println!("{}: {} of {} open", keyed.name(), keyed.snapshot().states.open, keyed.snapshot().circuits);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all_keyed() -> Vec<AnyKeyedBreaker> {
        AnyKeyedBreaker::all()
    }
}
