//! Workers through their public API, on a paused clock.

#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

mod errors;
mod health;
mod items;
mod letters;
mod log;
mod loops;
mod operations;
mod shown;
mod tasks;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::telemetry::Console;
use campanile::{Telemetry, Worker};
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::prelude::*;

/// A pipeline whose log is kept, and which takes the spans and events of this thread.
struct Pipeline {
    telemetry: Telemetry,
    sink: Sink,
    _subscriber: DefaultGuard,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipeline {
    fn new() -> Self {
        let sink = Sink::default();
        let writer = sink.clone();
        let builder = Telemetry::builder("test").prometheus().console(Console::Json);
        let telemetry = builder.console_writer(move || writer.clone()).build().unwrap();
        let subscriber =
            tracing_subscriber::registry().with(telemetry.span_layer()).with(telemetry.console_layer());
        Self { telemetry, sink, _subscriber: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines of the log at the levels `WARN` and above, or of events of a worker.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.sink.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "campanile::worker").collect()
    }

    /// Their messages.
    fn messages(&self) -> Vec<String> {
        self.lines().iter().map(|line| message(line).to_owned()).collect()
    }
}

fn message(line: &Value) -> &str {
    line["message"].as_str().or_else(|| line["fields"]["message"].as_str()).unwrap_or_default()
}

fn worker() -> Worker {
    Worker::builder("import").build().unwrap()
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
