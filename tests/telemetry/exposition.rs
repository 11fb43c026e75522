//! Prometheus text is valid and complete for any names of instruments and attributes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use campanile::Telemetry;
use campanile::telemetry::{Meters, Sampling};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use proptest::prelude::*;
use proptest::sample::select;
use tracing::info_span;

use crate::expositions::{Family, Format, Labels, parse};
use crate::long::times;
use crate::red::value;
use crate::support::Pipeline;

/// Names that are the same in Prometheus, names that are prefixes of others, and names of the crate.
const NAMES: [&str; 26] = [
    "x",
    "X",
    "x.count",
    "x_count",
    "x.count.count",
    "x.total",
    "x_total",
    "x.sum",
    "x.bucket",
    "x.created",
    "x.info",
    "x.seconds",
    "x.bytes",
    "x.seconds.total",
    "x.current",
    "x.net",
    "x.distribution",
    "x.cumulative",
    "x-y",
    "x.y",
    "target",
    "target.info",
    "campanile.span.duration",
    "campanile.telemetry.spans.started",
    "total",
    "seconds",
];
const UNITS: [&str; 9] = ["", "", "", "s", "By", "B", "1", "{call}", "{call}/s"];
const DESCRIPTIONS: [&str; 4] = ["", "One.", "Two:\n\"lines\" and a \\", "# EOF"];
const KEYS: [&str; 20] = [
    "a.b",
    "a-b",
    "a_b",
    "le",
    "quantile",
    "job",
    "instance",
    "span_name",
    "component",
    "otel_scope_name",
    "otel.scope.version",
    "__name__",
    "9",
    "é",
    "ß",
    "exported_le",
    "otel_stream",
    "otel.attributes",
    "",
    "a..b",
];
const TEXTS: [&str; 8] =
    ["", "1", "true", "x", "x;x", "line\n\"quoted\" \\", "[1]", "\0\r\u{85}\u{2028}=,}#"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    CounterU64,
    CounterF64,
    UpDownI64,
    UpDownF64,
    GaugeU64,
    GaugeF64,
    HistogramU64,
    HistogramF64,
    ObservedCounter,
    ObservedGauge,
}

const KINDS: [Kind; 10] = [
    Kind::CounterU64,
    Kind::CounterF64,
    Kind::UpDownI64,
    Kind::UpDownF64,
    Kind::GaugeU64,
    Kind::GaugeF64,
    Kind::HistogramU64,
    Kind::HistogramF64,
    Kind::ObservedCounter,
    Kind::ObservedGauge,
];

impl Kind {
    /// Its type in Prometheus.
    fn exposed(self) -> &'static str {
        match self {
            Self::CounterU64 | Self::CounterF64 | Self::ObservedCounter => "counter",
            Self::HistogramU64 | Self::HistogramF64 => "histogram",
            _ => "gauge",
        }
    }

    /// The kind that the SDK's data show. It is the same for kinds that the data do not distinguish.
    fn collected(self) -> Self {
        match self {
            Self::ObservedCounter => Self::CounterU64,
            Self::ObservedGauge => Self::GaugeF64,
            other => other,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    scope: usize,
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    description: &'static str,
    points: Vec<BTreeMap<&'static str, Value>>,
}

fn scope(number: usize) -> InstrumentationScope {
    let builder = match number {
        0 => InstrumentationScope::builder(""),
        1 => InstrumentationScope::builder("a"),
        2 => InstrumentationScope::builder("a").with_version("1"),
        3 => InstrumentationScope::builder("a").with_version("1").with_attributes([KeyValue::new("x", "y")]),
        4 => InstrumentationScope::builder("campanile"),
        // The scope of the crate.
        _ => InstrumentationScope::builder("campanile").with_version(env!("CARGO_PKG_VERSION")),
    };
    builder.build()
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&TEXTS[..]).prop_map(Value::from),
        select(vec![Value::from(1), Value::from(1.0), Value::from(true), Value::from(0.5)]),
        select(vec![Array::I64(vec![1]), Array::F64(vec![1.0]), Array::String(vec![StringValue::from("1")])])
            .prop_map(Value::Array),
    ]
}

pub(crate) fn instruments() -> impl Strategy<Value = Vec<Instrument>> {
    let attributes = prop::collection::btree_map(select(&KEYS[..]), values(), 0..4);
    let points = prop::collection::vec(attributes, 1..5);
    let plain = (0..6_usize, select(&NAMES[..]), select(&KINDS[..]), select(&UNITS[..]));
    let instrument = (plain, select(&DESCRIPTIONS[..]), points).prop_map(
        |((scope, name, kind, unit), description, points)| Instrument {
            scope,
            name,
            kind,
            unit,
            description,
            points,
        },
    );
    prop::collection::vec(instrument, 1..9).prop_map(distinct)
}

/// The instruments without those that the SDK considers the same, each with its points once.
fn distinct(instruments: Vec<Instrument>) -> Vec<Instrument> {
    let mut known = BTreeSet::new();
    let new =
        |it: &Instrument| known.insert((it.scope, it.name.to_lowercase(), it.kind, it.unit, it.description));
    let mut instruments: Vec<_> = instruments.into_iter().filter(new).collect();
    for instrument in &mut instruments {
        let mut points = BTreeSet::new();
        instrument.points.retain(|it| points.insert(format!("{it:?}")));
    }
    instruments
}

/// The first value that is recorded. No metric of the crate has such a large value.
pub(crate) const FIRST: u32 = 1_000_003;

pub(crate) struct Fed<'a> {
    instrument: &'a Instrument,
    attributes: &'a BTreeMap<&'static str, Value>,
    pub(crate) value: f64,
}

/// Each point of each instrument with a unique value, which does not depend on their order.
pub(crate) fn fed(instruments: &[Instrument]) -> Vec<Fed<'_>> {
    let points =
        instruments.iter().flat_map(|instrument| instrument.points.iter().map(move |it| (instrument, it)));
    let numbered = points.zip(FIRST..);
    numbered
        .map(|((instrument, attributes), value)| Fed { instrument, attributes, value: value.into() })
        .collect()
}

pub(crate) fn pipeline(feed: &[&Fed<'_>]) -> Telemetry {
    let builder = Telemetry::builder("test")
        .variables(|_| None)
        .configure(|settings| settings.detection = false)
        .sampling(Sampling::AlwaysOff);
    let telemetry =
        builder.attribute("job", "a").attribute("a.b", "b").attribute("a-b", "c").prometheus().build();
    let telemetry = telemetry.unwrap();
    let subscriber = tracing_subscriber::layer::SubscriberExt::with(
        tracing_subscriber::registry(),
        telemetry.span_layer(),
    );
    tracing::subscriber::with_default(subscriber, || drop(info_span!("own")));
    for one in feed {
        record(&telemetry.meter_provider(), one);
    }
    telemetry
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole numbers.
fn record(meters: &Meters, fed: &Fed<'_>) {
    let Fed { instrument, attributes, value } = fed;
    let Instrument { name, kind, unit, description, .. } = **instrument;
    let meter: Meter = meters.meter_with_scope(scope(instrument.scope));
    let attributes: Vec<_> =
        attributes.iter().map(|(key, value)| KeyValue::new(*key, value.clone())).collect();
    let value = *value;
    macro_rules! with {
        ($builder:ident) => {
            meter.$builder(name).with_unit(unit).with_description(description)
        };
    }
    match kind {
        Kind::CounterU64 => with!(u64_counter).build().add(value as u64, &attributes),
        Kind::CounterF64 => with!(f64_counter).build().add(value, &attributes),
        Kind::UpDownI64 => with!(i64_up_down_counter).build().add(value as i64, &attributes),
        Kind::UpDownF64 => with!(f64_up_down_counter).build().add(value, &attributes),
        Kind::GaugeU64 => with!(u64_gauge).build().record(value as u64, &attributes),
        Kind::GaugeF64 => with!(f64_gauge).build().record(value, &attributes),
        Kind::HistogramU64 => with!(u64_histogram).build().record(value as u64, &attributes),
        Kind::HistogramF64 => with!(f64_histogram).build().record(value, &attributes),
        Kind::ObservedCounter => {
            with!(u64_observable_counter)
                .with_callback(move |it| it.observe(value as u64, &attributes))
                .build();
        }
        Kind::ObservedGauge => {
            with!(f64_observable_gauge).with_callback(move |it| it.observe(value, &attributes)).build();
        }
    }
}

type Series = (String, Labels);

fn families(telemetry: &Telemetry, format: Format) -> Result<Vec<Family>, TestCaseError> {
    let text = match format {
        Format::Prometheus => telemetry.prometheus_text(),
        Format::OpenMetrics => telemetry.openmetrics_text(),
    };
    parse(&text, format).map_err(|why| TestCaseError::fail(format!("{why}\n{text}")))
}

/// The series of each recorded value, with the type of its family.
fn found(families: &[Family]) -> BTreeMap<u64, Vec<(Series, String)>> {
    let mut found: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for family in families {
        for sample in family.samples.iter().filter(|it| it.value >= FIRST.into() && it.value.is_finite()) {
            let series = ((sample.name.clone(), sample.labels.clone()), family.kind.clone());
            found.entry(sample.value.to_bits()).or_default().push(series);
        }
    }
    found
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether the series holds the name of the instrument and each attribute.
fn matches_source(series: &Series, fed: &Fed<'_>) -> bool {
    let (name, labels) = series;
    let named: BTreeSet<_> = words(name).collect();
    let mut expected = words(fed.instrument.name).filter(|word| !["count", "total"].contains(word));
    let shown = |key: &str, value: &str| {
        let mut labels = labels.iter().filter(|(label, _)| words(key).all(|word| label.contains(word)));
        value.is_empty() || labels.any(|(_, joined)| joined.contains(value))
    };
    expected.all(|word| named.contains(word))
        && fed.attributes.iter().all(|(key, value)| shown(key, &value.as_str()))
}

/// Whether two instruments differ in nothing but the order in which they were made.
fn twins(instruments: &[Instrument]) -> bool {
    let mut known = BTreeSet::new();
    instruments.iter().any(|it| {
        !known.insert((it.scope, it.name.to_lowercase(), it.kind.collected(), it.unit, it.description))
    })
}

fn assert_complete(instruments: &[Instrument]) -> Result<(), TestCaseError> {
    let fed = fed(instruments);
    let all: Vec<&Fed<'_>> = fed.iter().collect();
    let telemetry = pipeline(&all);
    let old = found(&families(&telemetry, Format::Prometheus)?);
    let openmetrics = found(&families(&telemetry, Format::OpenMetrics)?);
    for one in &fed {
        let [old, openmetrics] = [&old, &openmetrics].map(|found| found.get(&one.value.to_bits()));
        let Some([(series, kind)]) = old.map(Vec::as_slice) else {
            return Err(TestCaseError::fail(format!("{:?} is {old:?}", one.instrument)));
        };
        prop_assert_eq!(openmetrics.map(|it| &it[..]), Some(&[(series.clone(), kind.clone())][..]));
        prop_assert_eq!(kind, one.instrument.kind.exposed());
        prop_assert!(
            matches_source(series, one),
            "{:?} {:?} is {:?}",
            one.instrument,
            one.attributes,
            series
        );
    }
    prop_assert_eq!(old.len(), fed.len());
    let again = found(&families(&telemetry, Format::Prometheus)?);
    prop_assert_eq!(&old, &again, "the next scrape differs");
    // Metrics of the crate keep their names, whatever the names of others.
    let own = families(&telemetry, Format::OpenMetrics)?;
    let own = own.iter().find(|it| it.name == "campanile_span_duration_seconds");
    let keeps = |sample: &str, labels: &[&str]| {
        own.is_some_and(|own| {
            own.samples.iter().any(|it| {
                it.name == sample && it.labels.keys().map(String::as_str).eq(labels.iter().copied())
            })
        })
    };
    let usurped = instruments.iter().any(|it| it.scope == 5 && it.name == "campanile.span.duration");
    prop_assert!(usurped || keeps("campanile_span_duration_seconds_count", &["component", "span_name"]));

    if !twins(instruments) {
        let back: Vec<&Fed<'_>> = fed.iter().rev().collect();
        let names = found(&families(&pipeline(&back), Format::Prometheus)?);
        prop_assert_eq!(&old, &names, "the order of creation changes the result");
    }
    // An instrument that is made later does not continue the series of an earlier one.
    let Some(last) = instruments.last() else { return Ok(()) };
    let before: Vec<&Fed<'_>> = fed.iter().filter(|it| !std::ptr::eq(it.instrument, last)).collect();
    let before = found(&families(&pipeline(&before), Format::Prometheus)?);
    let values = |found: &BTreeMap<u64, Vec<(Series, String)>>| -> BTreeMap<Series, u64> {
        found.iter().flat_map(|(value, all)| all.iter().map(|(series, _)| (series.clone(), *value))).collect()
    };
    let (before, after) = (values(&before), values(&old));
    for (series, value) in &before {
        prop_assert!(
            after.get(series).is_none_or(|now| now == value),
            "{:?} has the value of another instrument now",
            series
        );
    }
    Ok(())
}

/// The sorted samples of both formats, without those of the crate and of the resource.
fn exposed(make: impl Fn(&Meters)) -> Vec<String> {
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    make(&pipeline.telemetry.meter_provider());
    let (old, openmetrics) = (pipeline.telemetry.prometheus_text(), pipeline.telemetry.openmetrics_text());
    let series = |text: &str, format| -> Vec<String> {
        let families = parse(text, format).unwrap_or_else(|why| panic!("{why}\n{text}"));
        let samples = families.iter().flat_map(|family| &family.samples);
        let others = samples.filter(|it| {
            !["campanile_", "target_info"].iter().any(|own| it.name.starts_with(own))
                && !it.name.ends_with("_bucket")
        });
        let mut series: Vec<_> = others
            .map(|it| {
                let labels: Vec<_> =
                    it.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}} {}", it.name, labels.join(","), it.value)
            })
            .collect();
        series.sort();
        series
    };
    let old = series(&old, Format::Prometheus);
    assert_eq!(old, series(&openmetrics, Format::OpenMetrics));
    old
}

#[test]
fn names_repeat_nothing_and_do_not_collide() {
    let found = exposed(|meters| {
        let meter = meters.meter("shop");
        meter.u64_counter("jobs.total").build().add(1, &[]);
        meter.u64_counter("sent.bytes").with_unit("By").build().add(2, &[]);
        meter.f64_gauge("wait.seconds").with_unit("s").build().record(3.0, &[]);
        meter.u64_gauge("cores.count").build().record(4, &[]);
        // A gauge whose name is that of a histogram's sample.
        meter.u64_gauge("size.count").build().record(5, &[]);
        meter.f64_histogram("size").build().record(6.0, &[]);
        // Instruments of different kinds.
        meter.u64_counter("load").with_unit("s").build().add(7, &[]);
        meter.u64_gauge("load").with_unit("s").build().record(8, &[]);
        meter.i64_up_down_counter("load").with_unit("s").build().add(9, &[]);
        // Two counters of one family name.
        meter.u64_counter("done").build().add(10, &[]);
        meter.u64_counter("done.total").build().add(11, &[]);
        meter.u64_gauge("target").build().record(12, &[]);
    });
    let wanted = [
        "cores{} 4",
        "done_cumulative_total{} 10",
        "done_total_cumulative_total{} 11",
        "jobs_total{} 1",
        "load_cumulative_seconds_total{} 7",
        "load_current_seconds{} 8",
        "load_net_seconds{} 9",
        "sent_bytes_total{} 2",
        "size_count_current{} 5",
        "size_distribution_count{} 1",
        "size_distribution_sum{} 6",
        "target_current{} 12",
        "wait_seconds{} 3",
    ];
    // The plain name of the gauge `size.count` is `size`.
    assert_eq!(found, wanted);
}

#[test]
fn scopes_and_other_streams_of_a_name_share_a_family() {
    let found = exposed(|meters| {
        for (scope, value) in [("a", 1), ("b", 2)] {
            meters.meter(scope).u64_counter("orders").build().add(value, &[]);
        }
        // The description is part of the label `otel_stream`.
        let meter = meters.meter("shop");
        meter.u64_counter("carts").with_description("One.").build().add(3, &[]);
        meter.u64_counter("carts").with_description("Other.").build().add(4, &[]);
        meter.u64_counter("items").with_unit("{item}").build().add(5, &[]);
        meter.f64_counter("items").with_unit("{thing}").build().add(6.0, &[]);
    });
    let [orders @ .., orders_a, orders_b] = &found[..] else { panic!("{found:?}") };
    assert_eq!(orders_a, "orders_total{otel_scope_name=a} 1");
    assert_eq!(orders_b, "orders_total{otel_scope_name=b} 2");
    assert_eq!(orders.len(), 4, "{orders:?}");
    let streams: BTreeSet<_> = orders.iter().map(|it| it.split('}').next()).collect();
    assert_eq!(streams.len(), 4, "{streams:?}");
    assert!(orders.iter().all(|it| it.contains("{otel_scope_name=shop,otel_stream=")), "{orders:?}");
    let found = exposed(|meters| {
        for (scope, value) in [("", 1), ("a", 2)] {
            meters.meter(scope).u64_counter("late").build().add(value, &[]);
        }
    });
    // Without a label, the scope without a name would continue the series of the other one, if that was alone before.
    assert!(found.iter().all(|it| it.contains("otel_stream=")), "{found:?}");
}

#[test]
fn attributes_do_not_collide_with_reserved_labels() {
    let found = exposed(|meters| {
        let gauge = meters.meter("shop").u64_gauge("x").build();
        let key_values = |pairs: &[(&'static str, &'static str)]| -> Vec<KeyValue> {
            pairs.iter().map(|(key, value)| KeyValue::new(*key, *value)).collect()
        };
        gauge.record(1, &key_values(&[("le", "a"), ("quantile", "b"), ("job", "c"), ("instance", "d")]));
        gauge.record(2, &key_values(&[("otel.scope.name", "a"), ("otel_stream", "b"), ("__name__", "c")]));
        gauge.record(3, &key_values(&[("a.b", "x"), ("a-b", "y"), ("a_b", "z")]));
        gauge.record(4, &key_values(&[("span_name", "a"), ("component", "b"), ("9", "c")]));
    });
    assert_eq!(
        found,
        [
            "x{_9=c,component=b,span_name=a} 4",
            "x{_name_=c,exported_otel_scope_name=a,exported_otel_stream=b} 2",
            "x{a_b=y;x;z} 3",
            "x{exported_instance=d,exported_job=c,exported_le=a,exported_quantile=b} 1",
        ]
    );
    let found = exposed(|meters| {
        let counter = meters.meter("shop").u64_counter("x").build();
        for (value, attributes) in [
            (1, vec![]),
            (2, vec![KeyValue::new("a", "")]),
            (3, vec![KeyValue::new("a", 1)]),
            (4, vec![KeyValue::new("a", "1")]),
            (5, vec![KeyValue::new("a", "2")]),
        ] {
            counter.add(value, &attributes);
        }
    });
    assert_eq!(found.len(), 5);
    assert_eq!(found.iter().filter(|it| it.contains("otel_attributes=")).count(), 4, "{found:?}");
    assert!(found.contains(&"x_total{a=2} 5".to_owned()));
}

#[test]
fn fields_of_spans_do_not_replace_labels_of_their_metrics() {
    let fields = ["le", "span_name", "component", "error.type", "job", "tenant.id", "tenant_id"];
    let pipeline = Pipeline::with(|builder| {
        builder.prometheus().sampling(Sampling::AlwaysOff).configure(|settings| {
            settings.detection = false;
            settings.span_metric_fields = fields.map(String::from).to_vec();
        })
    });
    pipeline.run(|| {
        drop(info_span!(
            "call",
            le = 1,
            span_name = "x",
            job = "y",
            component = "db",
            tenant.id = 2,
            tenant_id = 3
        ));
    });
    let text = pipeline.telemetry.openmetrics_text();
    let families = parse(&text, Format::OpenMetrics).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let family = families.iter().find(|it| it.name == "campanile_span_duration_seconds").unwrap();
    let count = family.samples.iter().find(|it| it.name.ends_with("_count")).unwrap();
    let labels: Vec<_> = count.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels,
        [
            "component=db",
            "exported_job=y",
            "exported_le=1",
            "field_component=db",
            "field_span_name=x",
            "field_tenant_id=3",
            "span_name=call",
            "tenant_id=2"
        ]
    );
    let bucket = family.samples.iter().find(|it| it.name.ends_with("_bucket")).unwrap();
    assert!(bucket.labels["exported_le"] == "1" && bucket.labels["le"] == "0.005", "{bucket:?}");
}

#[test]
fn a_field_without_a_value_gives_no_label() {
    let pipeline = Pipeline::with(|builder| {
        builder.prometheus().configure(|settings| {
            settings.detection = false;
            settings.span_metric_fields = ["tenant"].map(String::from).to_vec();
        })
    });
    pipeline.run(|| {
        drop(info_span!("call", component = "db", tenant = ""));
        drop(info_span!("call", component = "db"));
    });
    let text = pipeline.telemetry.openmetrics_text();
    let count = "campanile_span_duration_seconds_count{component=\"db\",span_name=\"call\"} 2";
    assert!(text.lines().any(|line| line == count), "{text}");
    let exemplars: Vec<_> = text.lines().filter(|line| line.contains(" # ")).collect();
    assert!(!exemplars.is_empty(), "{text}");
}

#[test]
fn metrics_of_the_crate_keep_their_names_and_labels() {
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    let meters = pipeline.telemetry.meter_provider();
    let of_theirs = meters.meter("theirs");
    of_theirs.u64_gauge("campanile.telemetry.spans.started").build().record(7, &[]);
    of_theirs.u64_counter("campanile.telemetry.spans.sampled").build().add(8, &[]);
    let text = pipeline.telemetry.openmetrics_text();
    parse(&text, Format::OpenMetrics).unwrap();
    for line in [
        "campanile_telemetry_spans_started_total 0",
        "campanile_telemetry_spans_started_current 7",
        "campanile_telemetry_spans_sampled_total 0",
        "campanile_telemetry_spans_sampled_total{otel_scope_name=\"theirs\"} 8",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
}

#[test]
fn a_counter_with_a_forbidden_value_becomes_untyped() {
    let found = exposed(|meters| {
        let meter = meters.meter("shop");
        meter.f64_counter("less").with_unit("s").build().add(-1.0, &[]);
        // The SDK ignores values that are not finite.
        for (key, value) in
            [("a", f64::NAN), ("b", f64::NEG_INFINITY), ("c", 1e300), ("d", -0.0), ("e", 5e-324)]
        {
            meter.f64_gauge("any").build().record(value, &[KeyValue::new("k", key)]);
        }
        meter.u64_counter("exact").build().add(u64::MAX, &[]);
        // Nothing is recorded.
        let _none = meter.f64_histogram("none").build();
    });
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.contains(&"less_seconds_total{} -1".to_owned()), "{found:?}");
    for (key, value) in [("c", 1e300), ("d", -0.0), ("e", 5e-324)] {
        assert!(found.contains(&format!("any{{k={key}}} {value}")), "{found:?}");
    }

    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    let meter = pipeline.telemetry.meter_provider().meter("shop");
    meter.f64_histogram("delta").build().record(-2.0, &[]);
    meter.f64_histogram("bounds").with_boundaries(vec![-1.0, 1.0]).build().record(2.0, &[]);
    meter.f64_histogram("boundless").with_boundaries(vec![]).build().record(3.0, &[]);
    meter.u64_counter("exact").build().add(u64::MAX, &[]);
    let old = pipeline.telemetry.prometheus_text();
    parse(&old, Format::Prometheus).unwrap();
    let sums = ["delta_sum", "bounds_sum", "boundless_sum"].map(|name| value(&old, name, &[]));
    assert_eq!(sums, [Some(-2.0), Some(2.0), Some(3.0)]);
    let openmetrics = pipeline.telemetry.openmetrics_text();
    parse(&openmetrics, Format::OpenMetrics).unwrap();
    let sums = ["delta_sum", "bounds_sum", "boundless_sum"].map(|name| value(&openmetrics, name, &[]));
    assert_eq!(sums, [None, None, Some(3.0)], "OpenMetrics forbids the other sums");
    assert!(openmetrics.contains("\nexact_total 18446744073709551615\n"), "integers are rounded");
}

#[test]
fn texts_of_any_size_and_kind_stay_on_one_line() {
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    let meter = pipeline.telemetry.meter_provider().meter("shop");
    let large = "ä\"\\\n\0".repeat(200_000);
    let help = "first\nsecond \\ \"third\" \\n\r\u{2028}";
    meter.u64_gauge("x").with_description(help).build().record(1, &[KeyValue::new("k", large.clone())]);
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let families = families(&pipeline.telemetry, format).unwrap();
        let x = families.iter().find(|it| it.name == "x").unwrap();
        assert_eq!(x.help.as_deref(), Some(help));
        assert!(x.samples[0].labels["k"] == large);
    }
}

#[test]
fn each_collision_is_counted_and_logged_once() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let pipeline =
        Pipeline::with(|builder| builder.prometheus().configure(|settings| settings.detection = false));
    let meter = pipeline.telemetry.meter_provider().meter("shop");
    let collisions = |text: &str| {
        let count = |kind| value(text, "campanile_telemetry_prometheus_collisions_total", &[("kind", kind)]);
        ["name", "series", "label", "description"].map(|kind| count(kind).unwrap())
    };
    let scrape = || {
        let log = Lines(Arc::clone(&lines));
        tracing::subscriber::with_default(log, || {
            let _ = pipeline.telemetry.openmetrics_text();
            pipeline.telemetry.prometheus_text()
        })
    };
    assert_eq!(collisions(&scrape()), [0.0; 4]);
    meter.u64_gauge("x").build().record(1, &[KeyValue::new("le", "a")]);
    meter.u64_counter("x").build().add(1, &[KeyValue::new("a", 1)]);
    meter.u64_counter("x").build().add(1, &[KeyValue::new("a", "1")]);
    meter.u64_counter("y").with_description("One.").build().add(1, &[]);
    meter.u64_counter("y").with_description("Other.").build().add(1, &[]);
    for _ in 0..3 {
        // Collisions: two names; the points of one instrument and the streams of another; one label; one description. A
        // scrape reads the counter before it counts its own collisions.
        assert_eq!(collisions(&scrape()), [2.0, 2.0, 1.0, 1.0]);
    }
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines.iter().any(|it| it.contains("shop") && it.contains("x_current")), "{lines:?}");
}

/// A subscriber that keeps warnings.
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line.push_str(&format!("{field}={value:?} "));
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: times(100, 5_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p38_a_scraper_reads_all_series_for_any_names(instruments in instruments()) {
        assert_complete(&instruments)?;
    }
}
