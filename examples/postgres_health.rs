//! A health check of a Postgres connection pool (`sqlx`).
//!
//! `DATABASE_URL=postgres://user:password@127.0.0.1/shop cargo run --features checks --example postgres_health`
//!
//! Campanile does not depend on a Postgres driver. Two functions tell it how full the pool is, and whether a query works.

use std::time::Duration;

use campanile::Health;
use campanile::health::{Component, Every, PoolCheck, PoolState};
use sqlx::postgres::PgPoolOptions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        println!("DATABASE_URL is not set. Example: postgres://user:password@127.0.0.1/shop");
        return Ok(());
    };
    // The pool connects lazily, so a service can start while its database is down.
    let pool =
        PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(1)).connect_lazy(&url)?;

    let health = Health::standalone();
    health.register(Component::new("db").critical(true))?;
    let of_state = pool.clone();
    let state = move || PoolState {
        size: of_state.size().into(),
        idle: of_state.num_idle() as u64,
        max: of_state.options().get_max_connections().into(),
        waiting: None,
    };
    let of_query = pool.clone();
    let query = move || {
        let pool = of_query.clone();
        async move { sqlx::query("SELECT 1").execute(&pool).await.map(drop) }
    };
    let every = Every::seconds(10).warn_after(Duration::from_millis(200));
    let db = health.check("db", every, PoolCheck::new(state, query).system("postgresql"))?;

    let mut taken = Vec::new();
    for round in ["with idle connections", "with all connections in use", "with some connections returned"] {
        let report = db.run().await;
        let readiness = health.readiness();
        println!(
            "{round}: {} after {:?}, {}ready; {}",
            report.outcome,
            report.took,
            if readiness.ready { "" } else { "not " },
            report.message.as_deref().unwrap_or("no message")
        );
        if taken.is_empty() {
            while let Some(connection) = pool.try_acquire() {
                taken.push(connection);
            }
            while let Ok(connection) = pool.acquire().await {
                taken.push(connection);
            }
        } else {
            taken.truncate(1);
            // Connections return to the pool in background tasks.
            while pool.num_idle() == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}
