//! Catches panics in the callbacks of instruments.
//!
//! The SDK runs callbacks under its locks. A panic poisons the locks, and no metric of the process can be read any more.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, MeterProvider, ObservableCounter, ObservableGauge,
    ObservableUpDownCounter, UpDownCounter,
};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::base::panics::catch;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// A meter provider whose metrics are exported with those of the pipeline; returned by
/// [`Telemetry::meter_provider`](crate::Telemetry::meter_provider).
///
/// If the callback of an observable instrument panics, that instrument has no value in this collection. The others are not
/// affected.
///
/// # Example
/// ```
/// use campanile::Telemetry;
/// use opentelemetry::metrics::MeterProvider;
///
/// let telemetry = Telemetry::builder("checkout").build()?;
/// let orders = telemetry.meter_provider().meter("shop").u64_counter("shop.orders").build();
/// orders.add(1, &[]);
/// # Ok::<(), campanile::telemetry::TelemetryError>(())
/// ```
#[derive(Clone)]
pub struct Meters(pub(in crate::telemetry) SdkMeterProvider);

impl MeterProvider for Meters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(Guarded(self.0.meter_with_scope(scope))))
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

/// The instruments of this meter, with guarded callbacks.
struct Guarded(Meter);

impl Guarded {
    fn inner(&self) -> &dyn InstrumentProvider {
        // Only a builder gives access to the provider. It is not used to build anything.
        self.0.u64_counter("").instrument_provider
    }
}

fn guard<M: 'static>(callback: Callback<M>) -> Callback<M> {
    let logged = AtomicBool::new(false);
    Box::new(move |observer: &dyn AsyncInstrument<M>| {
        let result = catch(|| callback(observer));
        if result.is_err() && !logged.swap(true, Ordering::Relaxed) {
            tracing::error!(
                values = type_name::<M>(),
                "the callback of an observable instrument panicked; it has no value while the callback panics"
            );
        }
    })
}

macro_rules! unguarded {
    ($($method:ident $builder:ident $instrument:ident $number:ty;)*) => {$(
        fn $method(&self, builder: $builder<'_, $instrument<$number>>) -> $instrument<$number> {
            self.inner().$method(builder)
        }
    )*};
}

macro_rules! guarded {
    ($($method:ident $instrument:ident $number:ty;)*) => {$(
        fn $method(
            &self,
            mut builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            builder.callbacks = builder.callbacks.into_iter().map(guard).collect();
            self.inner().$method(builder)
        }
    )*};
}

impl InstrumentProvider for Guarded {
    unguarded! {
        u64_counter InstrumentBuilder Counter u64;
        f64_counter InstrumentBuilder Counter f64;
        i64_up_down_counter InstrumentBuilder UpDownCounter i64;
        f64_up_down_counter InstrumentBuilder UpDownCounter f64;
        u64_gauge InstrumentBuilder Gauge u64;
        i64_gauge InstrumentBuilder Gauge i64;
        f64_gauge InstrumentBuilder Gauge f64;
        u64_histogram HistogramBuilder Histogram u64;
        f64_histogram HistogramBuilder Histogram f64;
    }

    guarded! {
        u64_observable_counter ObservableCounter u64;
        f64_observable_counter ObservableCounter f64;
        i64_observable_up_down_counter ObservableUpDownCounter i64;
        f64_observable_up_down_counter ObservableUpDownCounter f64;
        u64_observable_gauge ObservableGauge u64;
        i64_observable_gauge ObservableGauge i64;
        f64_observable_gauge ObservableGauge f64;
    }
}
