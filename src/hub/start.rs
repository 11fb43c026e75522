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
    let metrics_server = match listener(&telemetry, &settings) {
        Some(Err(error)) => {
            faults.add(StartFault::new("the port for metrics", error))?;
            None
        }
        Some(Ok(server)) => Some(server),
        None => None,
    };
    endpoints(&health, &settings, &faults)?;
    let inner = Arc::new(Inner {
        config,
        telemetry,
        health,
        parts: Mutex::<Parts>::default(),
        faults,
        metrics_server: Mutex::new(metrics_server),
        tasks: Mutex::default(),
    });
    reload::on_hang_up(&inner);
    let campanile = Campanile { inner };
    campanile.summarize();
    campanile.publish();
    Ok(campanile)
}

/// The pipeline as the settings say, otherwise one for this program only, or one without exporters.
fn pipeline(settings: &Settings, set_ups: &[SetUp], faults: &Faults) -> Result<Telemetry, StartError> {
    let wanted = settings.pipeline();
    let builder = |settings| {
        set_ups.iter().fold(TelemetryBuilder::from_settings(settings), |builder, set_up| set_up(builder))
    };
    let error = match builder(&wanted).install() {
        Ok(telemetry) => return Ok(telemetry),
        Err(error) => error,
    };
    if matches!(error, TelemetryError::SubscriberSet) {
        let reason = "this process has a global subscriber already; spans and logs of `tracing` stay there, unless it has \
                      the layer of `telemetry().span_layer()`";
        let telemetry = builder(&wanted).build().map_err(StartError::Telemetry)?;
        faults.add(StartFault::new("the global subscriber", reason))?;
        return Ok(telemetry);
    }
    let mut bare = wanted;
    bare.otlp = false;
    bare.sampler = None;
    let telemetry = TelemetryBuilder::from_settings(&bare).install().map_err(StartError::Telemetry)?;
    faults.add(StartFault::new("the exporters of telemetry", error))?;
    Ok(telemetry)
}

fn listener(
    telemetry: &Telemetry,
    settings: &Settings,
) -> Option<Result<MetricsServer, crate::base::error::ConfigError>> {
    let server = settings.metrics.server()?;
    Some(MetricsServer::from_settings(telemetry, &server))
}

/// The checks of `[endpoint.NAME]`.
fn endpoints(health: &Health, settings: &Settings, faults: &Faults) -> Result<(), StartError> {
    for (name, endpoint) in &settings.endpoint {
        if let Err(error) = endpoint::watch(health, &name.as_str().into(), endpoint) {
            faults.add(StartFault::new(format!("the check of endpoint `{name}`"), error))?;
        }
    }
    Ok(())
}
