//! The worker as a component.

use campanile::Worker;
use tracing_subscriber::prelude::*;

use crate::Pipeline;

async fn work(worker: &Worker) {
    for item in 0..10_u32 {
        let _ = worker.run(item, |item| std::future::ready(if item < 2 { Err("no") } else { Ok(()) })).await;
    }
    let _ = worker.track("fetch", 1, std::future::ready(Ok::<_, String>(()))).await;
    let _ = worker.task("sync").run(std::future::ready(Err::<(), _>("no"))).await;
}

#[tokio::test(start_paused = true)]
async fn items_operations_and_tasks_are_vital_signs_of_the_component() {
    let pipeline = Pipeline::new();
    let worker = Worker::builder("orders").telemetry(&pipeline.telemetry).build().unwrap();
    work(&worker).await;
    let calls = pipeline.telemetry.health().snapshot().component("orders").and_then(|it| it.calls.clone());
    assert_eq!(calls.map(|calls| (calls.total, calls.failed)), Some((12, 3)));
    let text = pipeline.telemetry.prometheus_text();
    for name in ["process", "fetch", "sync"] {
        let labels = format!(r#"span_name="{name}""#);
        assert!(
            text.lines().any(|line| line.contains(&labels) && line.contains(r#"component="orders""#)),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn vital_signs_are_counted_without_spans_too() {
    let telemetry = campanile::Telemetry::builder("test").build().unwrap();
    let filter = tracing_subscriber::filter::LevelFilter::WARN;
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer()).with(filter);
    let _default = tracing::subscriber::set_default(subscriber);
    let worker = Worker::builder("silent").telemetry(&telemetry).build().unwrap();
    work(&worker).await;
    let calls = telemetry.health().snapshot().component("silent").and_then(|it| it.calls.clone());
    assert_eq!(calls.map(|calls| (calls.total, calls.failed)), Some((12, 3)));
}
