//! In which formats trace context and baggage go from process to process.

use std::sync::Arc;
#[cfg(feature = "http")]
use std::sync::LazyLock;

use arc_swap::ArcSwapOption;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use super::variables::Variables;
use crate::error::ConfigError;

pub(super) type Propagator = Arc<TextMapCompositePropagator>;

/// The one that the installed telemetry has chosen.
static CHOSEN: ArcSwapOption<TextMapCompositePropagator> = ArcSwapOption::const_empty();
#[cfg(feature = "http")]
static DEFAULT: LazyLock<Propagator> = LazyLock::new(|| Arc::new(composite(["tracecontext", "baggage"])));

/// The formats of `OTEL_PROPAGATORS`; without it, W3C trace context and baggage.
pub(super) fn from_variables(variables: &Variables) -> Result<Vec<String>, ConfigError> {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(mut names) = variables.list(NAME) else {
        return Ok(vec!["tracecontext".to_owned(), "baggage".to_owned()]);
    };
    if let Some(unknown) =
        names.iter().find(|name| !["tracecontext", "baggage", "none"].contains(&name.as_str()))
    {
        return Err(ConfigError::new(NAME, unknown, "a list of tracecontext and baggage, or none"));
    }
    names.retain(|name| name != "none");
    names.dedup();
    Ok(names)
}

pub(super) fn composite<'a>(names: impl IntoIterator<Item = &'a str>) -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(
        names
            .into_iter()
            .map(|name| -> Box<dyn TextMapPropagator + Send + Sync> {
                if name == "baggage" {
                    Box::new(BaggagePropagator::new())
                } else {
                    Box::new(TraceContextPropagator::new())
                }
            })
            .collect(),
    )
}

/// Makes `propagator` the one of this process.
pub(super) fn choose(propagator: Propagator) {
    CHOSEN.store(Some(propagator));
}

/// The one to use where nobody says otherwise.
#[cfg(feature = "http")]
pub(super) fn chosen() -> impl std::ops::Deref<Target = Propagator> {
    struct Chosen(arc_swap::Guard<Option<Propagator>>);

    impl std::ops::Deref for Chosen {
        type Target = Propagator;

        fn deref(&self) -> &Propagator {
            self.0.as_ref().unwrap_or(&DEFAULT)
        }
    }

    Chosen(CHOSEN.load())
}
