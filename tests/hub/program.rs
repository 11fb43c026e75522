//! Programs of the tests, which read nothing of the environment.

use campanile::Campanile;
use campanile::hub::{CampanileBuilder, StartFault};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tracing_subscriber::prelude::*;

/// A program with these settings.
pub fn program(settings: &[&str]) -> CampanileBuilder {
    let quiet = ["sampler=false", "logging.console=off", "telemetry.detection=false"];
    Campanile::builder("shop")
        .environment([])
        .arguments(quiet.into_iter().chain(settings.iter().copied()))
        .telemetry(|telemetry| telemetry.variables(|_| None))
}

pub async fn started(settings: &[&str]) -> Campanile {
    program(settings).start().await.unwrap()
}

/// A program whose spans are kept, and the guard of a subscriber that makes them on this thread.
pub async fn traced(
    settings: &[&str],
) -> (Campanile, InMemorySpanExporter, tracing::subscriber::DefaultGuard) {
    let exporter = InMemorySpanExporter::default();
    let of_program = exporter.clone();
    let program = program(settings).telemetry(move |telemetry| telemetry.span_exporter(of_program.clone()));
    let campanile = program.start().await.unwrap();
    let subscriber = tracing_subscriber::registry().with(campanile.telemetry().span_layer());
    (campanile, exporter, subscriber.set_default())
}

/// The faults of a start, without that of a process whose subscriber another test has set.
pub fn faults(campanile: &Campanile) -> Vec<StartFault> {
    campanile.faults().into_iter().filter(|fault| fault.part() != "the global subscriber").collect()
}
