//! An import as a worker: items, an operation, a task, letters that are processed again. As in docs/worker.md.
//!
//! `cargo run --example worker --features hub`

use campanile::worker::Severity;
use campanile::{Campanile, Redrive, Worker};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    id: u32,
    price: Option<u32>,
}

/// Reads rows. Yours asks a database or an API.
async fn fetch() -> Result<Vec<Row>, std::io::Error> {
    Ok((1..=10).map(|id| Row { id, price: (id % 4 != 0).then_some(100 * id) }).collect())
}

async fn save(row: Row) -> Result<(), String> {
    row.price.map(drop).ok_or_else(|| format!("row {} has no price", row.id))
}

async fn import(worker: &Worker) -> Result<(), std::io::Error> {
    let rows = worker.track("fetch", 10, fetch()).await?;
    for row in rows {
        if row.id == 7 {
            worker.items().ingested(1).skipped("duplicate", 1);
            continue;
        }
        // A row that fails is counted, logged and parked. The others go on.
        let _ = worker.run(row, save).await;
    }
    worker.event("prices", "imported", Severity::Info, "the rows are imported", &[("rows", &10)]);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let campanile = Campanile::builder("prices").start().await?;
    let worker = campanile.worker("import").build().await?;
    worker.task("nightly").run(import(&worker)).await?;

    let seen = worker.snapshot();
    let (items, fetch) = (&seen.items, &seen.operations[0]);
    println!("rows: {} ok, {} failed, {} skipped", items.ok, items.failed, items.skipped);
    println!("{}: {} call, {} rows", fetch.name, fetch.calls, fetch.items);
    println!("{}: {} run, {}", seen.tasks[0].name, seen.tasks[0].runs, seen.tasks[0].status);
    println!("letters: {}", worker.letters().len().await?);

    // Later, when their prices are known:
    let priced = |row: Row| save(Row { price: Some(0), ..row });
    let report = worker.redrive(priced, Redrive::all()).await?;
    println!("processed again: {}, letters: {}", report.redriven, worker.letters().len().await?);
    campanile.end().await?;
    Ok(())
}
