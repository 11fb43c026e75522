//! A check that returns no future.
use campanile::health::{Every, Health};

fn main() -> Result<(), campanile::ConfigError> {
    let health = Health::standalone();
    health.check("db", Every::seconds(30), || true)?;
    Ok(())
}
