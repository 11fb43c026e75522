//! The start, part by part.

use std::sync::Arc;

use super::campanile::Campanile;
use super::config::{Config, Settings};
use super::endpoint;
use super::fault::{StartError, StartFault};
use super::inner::{Faults, Inner};
use super::parts::Parts;
use super::reload;
use crate::base::sync::Mutex;
use crate::edge::serve::MetricsServer;
use crate::health::Health;
use crate::telemetry::{Telemetry, TelemetryBuilder, TelemetryError};

/// What is done with the builder of the pipeline.
pub(super) type SetUp = Arc<dyn Fn(TelemetryBuilder) -> TelemetryBuilder + Send + Sync>;

/// Starts all that the settings say.
pub(super) fn start(config: Config, set_ups: &[SetUp], strict: bool) -> Result<Campanile, StartError> {
    let settings = config.settings();
    let faults = Faults::new(strict);
    let telemetry = pipeline(&settings, set_ups, &faults)?;
    // The loader has logged them too, when there was no console yet.
    for warning in config.warnings() {
        tracing::warn!(warning, "configuration");
    }
    let health = telemetry.health();
    health.configure(settings.health.clone())?;
    health.limit_healing(settings.healing.clone())?;
    let mut metrics_server = None;
    if let Some(server) = settings.metrics.server() {
        match MetricsServer::from_settings(&telemetry, &server) {
            Ok(server) => metrics_server = Some(server),
            Err(error) => faults.add(StartFault::new("the port for metrics", error))?,
        }
    }
    if tokio::runtime::Handle::try_current().is_err() {
        let reason = "there is no Tokio runtime: SIGHUP does not reload the configuration, and no summary is logged; start \
                      the program within a runtime";
        faults.add(StartFault::new("what runs in the background", reason))?;
    }
    endpoints(&health, &settings, &faults)?;
    let inner = Arc::new(Inner {
        config,
        telemetry,
        health,
        parts: Mutex::<Parts>::default(),
        faults,
        metrics_server: Mutex::new(metrics_server),
        tasks: Mutex::default(),
        healed: Mutex::default(),
        reloading: Mutex::default(),
    });
    reload::on_hang_up(&inner);
    let campanile = Campanile { inner };
    campanile.summarize();
    campanile.publish();
    Ok(campanile)
}

/// The pipeline as the settings say, otherwise one without exporters.
fn pipeline(settings: &Settings, set_ups: &[SetUp], faults: &Faults) -> Result<Telemetry, StartError> {
    let wanted = settings.pipeline();
    let whole =
        || set_ups.iter().fold(TelemetryBuilder::from_settings(&wanted), |builder, set_up| set_up(builder));
    let error = match install(whole, faults) {
        Err(StartError::Telemetry(error)) => error,
        other => return other,
    };
    let mut bare = wanted.clone();
    bare.otlp = false;
    bare.sampler = None;
    let of_no_exporter = |name: &str| if name.contains("EXPORTER") { None } else { std::env::var(name).ok() };
    let telemetry = install(|| TelemetryBuilder::from_settings(&bare).variables(of_no_exporter), faults)?;
    let reason = format!("{error}; nothing is exported, and the machine is not sampled");
    faults.add(StartFault::new("the pipeline with its exporters", reason))?;
    Ok(telemetry)
}

/// A pipeline for the whole process, or for this program only if the process has a subscriber already.
fn install(builder: impl Fn() -> TelemetryBuilder, faults: &Faults) -> Result<Telemetry, StartError> {
    match builder().install() {
        Err(TelemetryError::SubscriberSet) => {
            let telemetry = builder().build().map_err(StartError::Telemetry)?;
            let reason = "this process has one already; its spans and logs stay there, unless it has the layer \
                          `telemetry().span_layer()`, and the metrics of layers are those of the pipeline that is installed";
            faults.add(StartFault::new("the global subscriber", reason))?;
            Ok(telemetry)
        }
        other => other.map_err(StartError::Telemetry),
    }
}

/// The checks of `[endpoint.NAME]`.
fn endpoints(health: &Health, settings: &Settings, faults: &Faults) -> Result<(), StartError> {
    for (name, endpoint) in &settings.endpoint {
        let component = name.as_str().into();
        if let Err(error) = endpoint::watch(health, &component, &component, endpoint) {
            faults.add(StartFault::new(format!("the check of endpoint `{name}`"), error))?;
        }
    }
    Ok(())
}
