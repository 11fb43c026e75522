//! `promtool` and a real Prometheus read the text for any names of instruments and attributes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio::net::TcpListener;

use crate::exposition::{FIRST, Instrument, fed, instruments, pipeline};
use crate::expositions::{Format, parse};
use crate::long::times;
use crate::servers::{Prometheus, promtool_check_metrics};

const LIMIT: Duration = Duration::from_secs(60);

fn some() -> impl Iterator<Item = Vec<Instrument>> {
    let (strategy, mut runner) = (instruments(), TestRunner::deterministic());
    std::iter::from_fn(move || strategy.new_tree(&mut runner).ok().map(|tree| tree.current()))
}

#[test]
fn promtool_reads_any_names() {
    for instruments in some().take(times(40, 1_000) as usize) {
        let fed = fed(&instruments);
        let text = pipeline(&fed.iter().collect::<Vec<_>>()).prometheus_text();
        // It also warns about the style of names. Only a text that it cannot parse is a failure.
        let warnings = promtool_check_metrics(&text).err().unwrap_or_default();
        assert!(!warnings.contains("error while linting"), "{warnings}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_all_of_it_as_openmetrics() {
    let cases: Vec<_> = some().filter(|it| it.len() > 5).take(12).collect();
    let (mut jobs, mut kept) = (Vec::new(), Vec::new());
    for (number, instruments) in cases.iter().enumerate() {
        let fed = fed(instruments);
        let telemetry = pipeline(&fed.iter().collect::<Vec<_>>());
        // The second scrape counts the collisions of the first.
        drop(telemetry.openmetrics_text());
        let text = telemetry.openmetrics_text();
        // Metrics of the crate are left out: malformed headers are counted per process, so other tests change them.
        let families = parse(&text, Format::OpenMetrics).unwrap();
        let fed_ones = families.iter().filter(|family| !family.name.starts_with("campanile_"));
        let samples: usize = fed_ones.map(|family| family.samples.len()).sum();
        let values: BTreeSet<u64> = fed.iter().map(|one| one.value.to_bits()).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route_service("/metrics", telemetry.prometheus_service());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        jobs.push((format!("job{number}"), address, text, samples, values));
        kept.push((telemetry, serving));
    }
    let targets: Vec<_> = jobs.iter().map(|(job, address, ..)| (job.as_str(), *address)).collect();
    let prometheus = Prometheus::start(&targets).await;
    for (job, _, text, samples, values) in &jobs {
        let up = format!("up{{job=\"{job}\"}} == 1 and scrape_samples_scraped{{job=\"{job}\"}} > 0");
        prometheus.wait_for(&up, |series| !series.is_empty(), LIMIT).await;
        let scraped = prometheus.vector(&format!("scrape_samples_scraped{{job=\"{job}\"}}")).await;
        assert!(scraped[0].1 >= *samples as f64, "{text}");
        // Prometheus keeps one of two samples of the same series, so this count shows that no two are the same.
        let kept = format!("count({{job=\"{job}\", __name__!~\"up|scrape_.*|campanile_.*\"}})");
        assert_eq!(prometheus.vector(&kept).await[0].1, *samples as f64, "{text}");
        let found = prometheus.vector(&format!("{{job=\"{job}\"}} >= {FIRST} < Inf")).await;
        let found: BTreeSet<u64> = found.iter().map(|(_, value)| value.to_bits()).collect();
        assert_eq!(found, *values, "{text}");
    }
    kept.iter().for_each(|(_, serving)| serving.abort());
}
