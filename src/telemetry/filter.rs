//! The filter of the subscriber of `install`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Directive, EnvFilter};

use super::variables::Variables;
use crate::base::error::ConfigError;

/// `RUST_LOG`, otherwise `directives`. `OTEL_LOG_LEVEL` replaces their level for the pipeline itself.
pub(super) fn env_filter(directives: &str, variables: &Variables) -> Result<EnvFilter, ConfigError> {
    let (setting, directives) = match variables.get("RUST_LOG") {
        Some(directives) => ("RUST_LOG", directives),
        None => ("env_filter", directives.to_owned()),
    };
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| {
        ConfigError::new(setting, &directives, format!("directives such as info,sqlx=warn ({error})"))
    })?;
    let Some(level) = log_level(variables)? else { return Ok(filter) };
    // The targets of all crates of OpenTelemetry begin like this.
    let of_the_pipeline = ["opentelemetry", "campanile::telemetry"].map(|target| format!("{target}={level}"));
    let of_the_pipeline = of_the_pipeline.iter().filter_map(|text| text.parse::<Directive>().ok());
    Ok(of_the_pipeline.fold(filter, EnvFilter::add_directive))
}

pub(super) fn log_level(variables: &Variables) -> Result<Option<LevelFilter>, ConfigError> {
    const NAME: &str = "OTEL_LOG_LEVEL";
    let Some(level) = variables.get(NAME) else { return Ok(None) };
    match level.parse() {
        Ok(known) => Ok(Some(known)),
        Err(_) if level.eq_ignore_ascii_case("none") => Ok(Some(LevelFilter::OFF)),
        Err(_) => Err(ConfigError::new(NAME, level, "off, error, warn, info, debug or trace")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(set: &'static [(&'static str, &'static str)]) -> Result<Vec<String>, ConfigError> {
        let find =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let filter = env_filter("info,opentelemetry=warn", &Variables::new(find))?;
        let mut directives: Vec<_> = filter.to_string().split(',').map(ToOwned::to_owned).collect();
        directives.sort();
        Ok(directives)
    }

    #[test]
    fn otel_log_level_replaces_the_level_of_the_pipeline() {
        assert_eq!(directives(&[]).unwrap(), ["info", "opentelemetry=warn"]);
        assert_eq!(
            directives(&[("OTEL_LOG_LEVEL", "DEBUG"), ("RUST_LOG", "error,opentelemetry=off")]).unwrap(),
            ["campanile::telemetry=debug", "error", "opentelemetry=debug"]
        );
        let error = directives(&[("OTEL_LOG_LEVEL", "loud")]).unwrap_err();
        assert_eq!((error.setting(), error.value()), ("OTEL_LOG_LEVEL", "loud"));
    }
}
