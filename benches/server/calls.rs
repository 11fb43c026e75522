//! The cost of a span for each request, without a network: `cargo bench --bench server -- calls`.
//!
//! Each variant runs in a process of its own, for several rounds. A request goes through an axum router with one layer, and its
//! response is read to the end. The cost of a layer is the difference to the router without one.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use campanile::Telemetry;
use campanile::telemetry::{Console, Sampling};
use http_body_util::BodyExt;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider};
use tower::ServiceExt;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use super::{BoxError, Sink, bare, median};

/// The variant that a child process measures.
pub(crate) const MEASURE: &str = "CAMPANILE_BENCH_CALLS";

/// Shares of sampled traces.
const SHARES: [(&str, f64); 3] = [("0", 0.0), ("0.01", 0.01), ("1", 1.0)];
const ROUNDS: usize = 5;
const BATCHES: usize = 15;
const BATCH: u32 = 4_000;

fn router(name: &str, share: f64) -> Result<(Router, Box<dyn std::any::Any>), BoxError> {
    let router = Router::new().route("/items/{id}", get(bare));
    Ok(match name {
        "bare" => (router, Box::new(())),
        "campanile" => {
            let telemetry = Telemetry::builder("bench")
                .sampling(Sampling::parent_based(Sampling::Ratio(share)))
                .console(Console::Off)
                .span_exporter(Sink)
                .install()?;
            (router.layer(telemetry.http_server_layer()), Box::new(telemetry))
        }
        "axum-tracing-opentelemetry" => {
            let tracers = SdkTracerProvider::builder()
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
                .with_span_processor(BatchSpanProcessor::builder(Sink).build())
                .build();
            let traces = tracing_opentelemetry::layer().with_tracer(tracers.tracer("bench"));
            // Its spans have this target, and the level `TRACE`.
            let filter =
                Targets::new().with_default(LevelFilter::INFO).with_target("otel", LevelFilter::TRACE);
            tracing_subscriber::registry().with(filter).with(traces).try_init()?;
            let propagator = opentelemetry_sdk::propagation::TraceContextPropagator::new();
            opentelemetry::global::set_text_map_propagator(propagator);
            (router.layer(OtelAxumLayer::default()), Box::new(tracers))
        }
        "TraceLayer" => {
            tracing_subscriber::registry().with(LevelFilter::INFO).try_init()?;
            let make = DefaultMakeSpan::new().level(tracing::Level::INFO);
            (router.layer(TraceLayer::new_for_http().make_span_with(make)), Box::new(()))
        }
        other => return Err(format!("there is no variant `{other}`").into()),
    })
}

async fn requests(router: &Router, count: u32) -> Result<(), BoxError> {
    for _ in 0..count {
        let request = Request::get("/items/17")
            .header("host", "shop.example")
            .header("user-agent", "wrk")
            .body(Body::empty())?;
        let response = router.clone().oneshot(request).await?;
        black_box(response.into_body().collect().await?.to_bytes());
    }
    Ok(())
}

/// Prints the nanoseconds of a request: the median of some batches.
pub(crate) fn measure(variant: &str) -> Result<(), BoxError> {
    let (name, share) = variant.split_once(' ').ok_or("a variant is a name and a share")?;
    let (router, _kept) = router(name, share.parse()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        requests(&router, BATCH).await?;
        if let Ok(count) = std::env::var("CAMPANILE_BENCH_COUNT") {
            // For a profiler.
            return requests(&router, count.parse()?).await;
        }
        let mut nanos = Vec::new();
        for _ in 0..BATCHES {
            #[allow(clippy::disallowed_methods)] // A bench measures real time.
            let began = Instant::now();
            requests(&router, BATCH).await?;
            nanos.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
        }
        println!("{}", median(&mut nanos));
        Ok(())
    })
}

fn run(variant: &str) -> Result<f64, BoxError> {
    let out = Command::new(std::env::current_exe()?).env(MEASURE, variant).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.trim().parse().map_err(|_| format!("`{variant}` printed {text:?} in place of a number").into())
}

pub(crate) fn compare() -> Result<(), BoxError> {
    let mut variants = vec!["bare 0".to_owned(), "TraceLayer 0".to_owned()];
    for (share, _) in SHARES {
        variants.push(format!("campanile {share}"));
        variants.push(format!("axum-tracing-opentelemetry {share}"));
    }
    let mut nanos = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, nanos) in variants.iter().zip(&mut nanos) {
            nanos.push(run(variant)?);
        }
    }
    let medians: Vec<f64> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
    println!("nanoseconds of a request, medians of {ROUNDS} rounds; the layer alone in brackets:");
    for (variant, nanos) in variants.iter().zip(&medians) {
        println!("{variant:32} {nanos:8.0}  ({:6.0})", nanos - medians[0]);
    }
    for (place, (share, _)) in SHARES.iter().enumerate() {
        let (ours, theirs) = (medians[2 + 2 * place] - medians[0], medians[3 + 2 * place] - medians[0]);
        println!("{share} sampled: {:.2} of the peer (at most 0.50)", ours / theirs);
    }
    println!("unsampled: {:.0} ns more than TraceLayer (at most 1,000)", medians[2] - medians[1]);
    Ok(())
}
