//! A future that is to be retried.
use std::io;

use campanile::Retry;

async fn pay() -> io::Result<u32> {
    Ok(7)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let retry = Retry::builder().build()?;
    let paid = retry.run(pay());
    paid.await?;
    Ok(())
}
