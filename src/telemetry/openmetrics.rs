//! Metrics in the text format of OpenMetrics 1.0, which has exemplars.
//!
//! The `prometheus` crate writes the older format only, and the writer of `prometheus-client` does not escape a help.
//! What differs: a counter's family is named without `_total`, units stand for themselves, quotes in a help are escaped,
//! bounds are written as floats, a resource is an `info`, and the end is marked.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use crate::signal::{Book, Exemplar, Exemplars};
use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// What stands at the end, and alone if there is nothing.
pub(super) const END: &str = "# EOF\n";

/// The units that a name of a metric may end with.
const UNITS: [&str; 14] = [
    "seconds",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "bytes",
    "ratio",
    "percent",
    "celsius",
    "hertz",
    "joules",
    "watts",
];

/// The families as OpenMetrics text, with exemplars out of `book`.
pub(super) fn text(families: &[MetricFamily], book: &Book) -> String {
    let mut out = String::new();
    // A string takes everything.
    let _infallible = Text { out: &mut out, book, names: HashSet::new() }.write(families);
    out
}

struct Text<'a> {
    out: &'a mut String,
    book: &'a Book,
    /// Of the families that were written.
    names: HashSet<String>,
}

impl Text<'_> {
    fn write(mut self, families: &[MetricFamily]) -> fmt::Result {
        families
            .iter()
            .filter(|family| !family.get_metric().is_empty())
            .try_for_each(|it| self.family(it))?;
        self.out.write_str(END)
    }

    fn family(&mut self, family: &MetricFamily) -> fmt::Result {
        let full = family.name();
        let (name, kind) = match family.get_field_type() {
            MetricType::COUNTER => (full.strip_suffix("_total").unwrap_or(full), "counter"),
            // The resource, as the exporter tells it.
            MetricType::GAUGE if full == "target_info" => ("target", "info"),
            MetricType::GAUGE => (full, "gauge"),
            MetricType::HISTOGRAM => (full, "histogram"),
            // The exporter gives none out.
            MetricType::SUMMARY | MetricType::UNTYPED => return Ok(()),
        };
        // Two that differ in nothing but that suffix cannot both do without it.
        let (name, kind) = if self.names.insert(name.to_owned()) {
            (name, kind)
        } else if kind == "counter" && self.names.insert(full.to_owned()) {
            (full, "unknown")
        } else {
            return Ok(());
        };
        writeln!(self.out, "# TYPE {name} {kind}")?;
        if kind != "info"
            && let Some(unit) = unit(name)
        {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        if !family.help().is_empty() {
            writeln!(self.out, "# HELP {name} {}", escaped(family.help()))?;
        }
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    let suffix = if kind == "counter" { "_total" } else { "" };
                    self.sample(name, suffix, metric, metric.get_counter().get_value())?;
                }
                MetricType::GAUGE => {
                    let suffix = if kind == "info" { "_info" } else { "" };
                    self.sample(name, suffix, metric, metric.get_gauge().get_value())?;
                }
                MetricType::HISTOGRAM => self.histogram(name, metric)?,
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, metric: &Metric) -> fmt::Result {
        let histogram = metric.get_histogram();
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        let exemplars = self.book.find(name, labels);
        let exemplar = |bucket| exemplars.as_deref().and_then(|it: &Exemplars| it.get(bucket));
        for (place, (bound, count)) in buckets(histogram).enumerate() {
            let bound = ("le", canonical(bound));
            self.start(name, "_bucket", metric, Some(bound))?;
            write!(self.out, "{count}")?;
            if let Some(exemplar) = exemplar(place) {
                self.exemplar(exemplar)?;
            }
            self.out.write_char('\n')?;
        }
        self.sample(name, "_sum", metric, histogram.get_sample_sum())?;
        self.start(name, "_count", metric, None)?;
        writeln!(self.out, "{}", histogram.get_sample_count())
    }

    fn sample(&mut self, name: &str, suffix: &str, metric: &Metric, value: f64) -> fmt::Result {
        self.start(name, suffix, metric, None)?;
        writeln!(self.out, "{}", number(value))
    }

    /// All of a sample before its value.
    fn start(
        &mut self,
        name: &str,
        suffix: &str,
        metric: &Metric,
        label: Option<(&str, String)>,
    ) -> fmt::Result {
        write!(self.out, "{name}{suffix}")?;
        let mut before = '{';
        for (name, value) in metric
            .get_label()
            .iter()
            .map(|label: &LabelPair| (label.name(), label.value()))
            .chain(label.as_ref().map(|(name, value)| (*name, value.as_str())))
        {
            write!(self.out, "{before}{name}=\"{}\"", escaped(value))?;
            before = ',';
        }
        self.out.write_str(if before == ',' { "} " } else { " " })
    }

    /// With its labels it has 63 characters; 128 are allowed.
    fn exemplar(&mut self, Exemplar { value, witness }: Exemplar) -> fmt::Result {
        let at = witness.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(
            self.out,
            " # {{trace_id=\"{}\",span_id=\"{}\"}} {} {}.{:03}",
            witness.trace_id,
            witness.span_id,
            number(value),
            at.as_secs(),
            at.subsec_millis(),
        )
    }
}

/// The bounds and counts of a histogram; the last bound is infinite.
fn buckets(histogram: &Histogram) -> impl Iterator<Item = (f64, u64)> + '_ {
    let buckets = histogram.get_bucket().iter().map(|it| (it.upper_bound(), it.cumulative_count()));
    let all = (f64::INFINITY, histogram.get_sample_count());
    buckets.filter(|(bound, _)| bound.is_finite()).chain([all])
}

fn unit(name: &str) -> Option<&'static str> {
    UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// A number that is part of a label: one text for each value, `1.0` and not `1`.
fn canonical(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { number(value) }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::core::Collector;
    use prometheus::{Counter, Gauge, HistogramOpts, Opts};

    fn written(families: Vec<Vec<MetricFamily>>) -> String {
        text(&families.concat(), &Book::default())
    }

    #[test]
    fn each_kind_is_written_as_the_format_wants_it() {
        let counter = Counter::with_opts(Opts::new("calls_total", "Says \"how\\often\"\nso far.")).unwrap();
        counter.inc();
        let labelled = Opts::new("share_ratio", "Part.").const_label("path", "a\"b\\c\nd");
        let gauge = Gauge::with_opts(labelled).unwrap();
        gauge.set(f64::NEG_INFINITY);
        let options = HistogramOpts::new("took_seconds", "Time.").buckets(vec![0.005, 1.0]);
        let histogram = prometheus::Histogram::with_opts(options).unwrap();
        histogram.observe(0.25);
        histogram.observe(3.0);
        let target = Opts::new("target_info", "Target.").const_label("service_name", "shop");
        let target = Gauge::with_opts(target).unwrap();
        target.set(1.0);
        let text = written(vec![counter.collect(), gauge.collect(), histogram.collect(), target.collect()]);
        let expected = r#"# TYPE calls counter
# HELP calls Says \"how\\often\"\nso far.
calls_total 1
# TYPE share_ratio gauge
# UNIT share_ratio ratio
# HELP share_ratio Part.
share_ratio{path="a\"b\\c\nd"} -Inf
# TYPE took_seconds histogram
# UNIT took_seconds seconds
# HELP took_seconds Time.
took_seconds_bucket{le="0.005"} 0
took_seconds_bucket{le="1.0"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 3.25
took_seconds_count 2
# TYPE target info
# HELP target Target.
target_info{service_name="shop"} 1
# EOF
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_counter_and_a_gauge_of_one_name_stay_apart() {
        let gauge = Gauge::new("calls", "Now.").unwrap();
        let counter = Counter::new("calls_total", "Ever.").unwrap();
        let text = written(vec![gauge.collect(), counter.collect(), gauge.collect()]);
        let expected = "# TYPE calls gauge\n# HELP calls Now.\ncalls 0\n\
                        # TYPE calls_total unknown\n# HELP calls_total Ever.\ncalls_total 0\n# EOF\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_is_an_end() {
        assert_eq!(written(Vec::new()), "# EOF\n");
    }

    #[test]
    fn numbers_are_those_of_the_format() {
        assert_eq!([f64::NAN, f64::INFINITY, 0.1, 3.0].map(number), ["NaN", "+Inf", "0.1", "3"]);
        assert_eq!([1.0, 0.005, f64::INFINITY].map(canonical), ["1.0", "0.005", "+Inf"]);
    }
}
