//! A function where a breaker takes a future, and a future that has no `Result`.
use std::io;

use campanile::CircuitBreaker;

async fn pay() -> io::Result<u32> {
    Ok(7)
}

fn main() -> Result<(), campanile::ConfigError> {
    let breaker = CircuitBreaker::builder("payments").build()?;
    let _ = breaker.call(pay);
    let _ = breaker.call(async { 7 });
    Ok(())
}
