//! The metrics server, scraped by a real Prometheus.

use std::net::Ipv4Addr;
use std::time::Duration;

use campanile::Telemetry;
use campanile::serve::MetricsServer;
use opentelemetry::metrics::MeterProvider;

use crate::support::Prometheus;

#[tokio::test]
async fn prometheus_scrapes_it() {
    let telemetry = Telemetry::builder("nightly").prometheus().build().unwrap();
    telemetry.meter_provider().meter("shop").u64_counter("bells").build().add(7, &[]);
    let server = MetricsServer::builder(&telemetry).listen((Ipv4Addr::LOCALHOST, 0)).build().unwrap();
    let prometheus = Prometheus::start(&[("nightly", server.address())]).await;
    let limit = Duration::from_secs(30);
    let is = |wanted: f64| move |series: &[(serde_json::Value, f64)]| matches!(series, [(_, value)] if *value == wanted);
    prometheus.wait_for("bells_total", is(7.0), limit).await;
    prometheus.wait_for("up{job=\"nightly\"}", is(1.0), limit).await;
    drop(server);
    prometheus.wait_for("up{job=\"nightly\"}", is(0.0), limit).await;
}
