//! A real Prometheus server scrapes the metrics of a sampler.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use campanile::Telemetry;
use tokio::net::TcpListener;

use crate::support::{Prometheus, promtool_check_metrics};

const LIMIT: Duration = Duration::from_secs(60);

/// The families of an exposition.
fn families(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p41_prometheus_scrapes_all_values_and_promtool_accepts_them() {
    let telemetry =
        Telemetry::builder("machine").prometheus().system(Duration::from_millis(100)).build().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route_service("/metrics", telemetry.prometheus_service());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    let prometheus = Prometheus::start(&[("machine", address)]).await;
    // The share of processor time appears last, because it needs two readings.
    for wanted in [
        "process_cpu_utilization_ratio",
        "system_cpu_utilization_ratio",
        "campanile_runtime_utilization_ratio",
    ] {
        prometheus.wait_for(wanted, |series| !series.is_empty(), LIMIT).await;
    }

    // The values of a scrape are consistent: the memory states add up to the total.
    let states = prometheus.vector("sum(system_memory_usage_bytes) / sum(system_memory_limit_bytes)").await;
    assert!((states[0].1 - 1.0).abs() < 1e-9, "{states:?}");
    let shares = prometheus.vector("sum(system_memory_utilization_ratio)").await;
    assert!((shares[0].1 - 1.0).abs() < 1e-9, "{shares:?}");
    // Prometheus treats the metric as a counter.
    let busy = "increase(campanile_runtime_busy_time_seconds_total{runtime=\"main\"}[30s])";
    prometheus.wait_for(busy, |series| series.iter().any(|(_, value)| *value > 0.0), LIMIT).await;
    let workers = prometheus.vector("campanile_runtime_workers{runtime=\"main\"}").await;
    assert_eq!(workers.len(), 1, "{workers:?}");
    assert_eq!(workers[0].0["job"], "machine");
    // The workers of another test in this process are added.
    assert!(workers[0].1 >= 2.0, "{workers:?}");

    let text = telemetry.prometheus_text();
    promtool_check_metrics(&text).unwrap();
    // Prometheus accepted all families under their names. `target_info` belongs to the process, not to the sampler.
    let names = prometheus.vector("count by (__name__) ({job=\"machine\"})").await;
    let names: BTreeSet<_> = names.iter().filter_map(|(labels, _)| labels["__name__"].as_str()).collect();
    let ours = families(&text);
    let sampled = |name: &&str| {
        ["system_", "process_", "container_", "campanile_runtime_", "campanile_sampler_"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let missing: Vec<_> =
        ours.iter().filter(|name| sampled(name)).filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} of {ours:?} are not among {names:?}");
    assert!(ours.iter().filter(|name| sampled(name)).count() >= 20, "{ours:?}");
    serving.abort();
}
