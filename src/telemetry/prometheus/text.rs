//! Writes a plan as text: in Prometheus' format 0.0.4, or in OpenMetrics 1.0, which has exemplars.
//!
//! They differ: OpenMetrics names a family of counters without `_total`, has units and a type for the resource, escapes
//! quotes in help texts, writes bounds as floats, and marks the end. It forbids a sum that is or may become negative, so
//! that sum and its count are left out. The bucket `+Inf` has the same count.

use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use super::labels::Label;
use super::plan::{Family, FamilyKind, Plan};
use super::points::{Distribution, Number, Point};
use crate::signal::Exemplar;

/// The last line of OpenMetrics text. Text without metrics is this line alone.
pub(super) const END: &str = "# EOF\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Plan {
    pub(super) fn text(&self, format: Format) -> String {
        let mut out = String::new();
        // Writing to a `String` cannot fail.
        let _infallible =
            self.families.iter().try_for_each(|family| Text { out: &mut out, format }.family(family));
        if format == Format::OpenMetrics {
            out.push_str(END);
        }
        out
    }
}

struct Text<'a> {
    out: &'a mut String,
    format: Format,
}

impl Text<'_> {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let Family { name, kind, unit, help, series } = family;
        let ending = match kind {
            FamilyKind::Counter => "_total",
            FamilyKind::Info => "_info",
            FamilyKind::Gauge | FamilyKind::Histogram | FamilyKind::Unknown => "",
        };
        match self.format {
            Format::Prometheus => {
                if !help.is_empty() {
                    writeln!(self.out, "# HELP {name}{ending} {}", Escaped(help, false))?;
                }
                let kind = match kind {
                    FamilyKind::Counter => "counter",
                    FamilyKind::Gauge | FamilyKind::Info => "gauge",
                    FamilyKind::Histogram => "histogram",
                    FamilyKind::Unknown => "untyped",
                };
                writeln!(self.out, "# TYPE {name}{ending} {kind}")?;
            }
            Format::OpenMetrics => {
                let kind = match kind {
                    FamilyKind::Counter => "counter",
                    FamilyKind::Gauge => "gauge",
                    FamilyKind::Histogram => "histogram",
                    FamilyKind::Info => "info",
                    FamilyKind::Unknown => "unknown",
                };
                writeln!(self.out, "# TYPE {name} {kind}")?;
                if let Some(unit) = unit {
                    writeln!(self.out, "# UNIT {name} {unit}")?;
                }
                if !help.is_empty() {
                    writeln!(self.out, "# HELP {name} {}", Escaped(help, true))?;
                }
            }
        }
        for (labels, point) in series {
            match point {
                Point::Number(number) => self.sample(name, ending, labels, *number)?,
                Point::Histogram(histogram) => self.histogram(name, labels, histogram)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, labels: &[Label], histogram: &Distribution) -> fmt::Result {
        let exemplars = histogram.exemplars.as_deref().filter(|_| self.format == Format::OpenMetrics);
        for (place, (bound, count)) in histogram.buckets.iter().enumerate() {
            self.start(name, "_bucket", labels, Some(*bound))?;
            write!(self.out, "{count}")?;
            if let Some(exemplar) = exemplars.and_then(|it| it.get(place)) {
                self.exemplar(exemplar)?;
            }
            self.out.write_char('\n')?;
        }
        let summable =
            histogram.sum.fits_counter() && histogram.buckets.iter().all(|(bound, _)| *bound >= 0.0);
        if self.format == Format::OpenMetrics && !summable {
            return Ok(());
        }
        self.sample(name, "_sum", labels, histogram.sum)?;
        self.sample(name, "_count", labels, Number::Unsigned(histogram.count))
    }

    fn sample(&mut self, name: &str, ending: &str, labels: &[Label], value: Number) -> fmt::Result {
        self.start(name, ending, labels, None)?;
        writeln!(self.out, "{value}")
    }

    /// Writes a sample up to its value.
    fn start(&mut self, name: &str, ending: &str, labels: &[Label], bound: Option<f64>) -> fmt::Result {
        write!(self.out, "{name}{ending}")?;
        let mut before = '{';
        for (name, value) in labels {
            write!(self.out, "{before}{name}=\"{}\"", Escaped(value, true))?;
            before = ',';
        }
        if let Some(bound) = bound {
            write!(self.out, "{before}le=\"")?;
            match self.format {
                // OpenMetrics requires the canonical form: `1.0` and not `1`.
                Format::OpenMetrics if bound.is_finite() => write!(self.out, "{bound:?}")?,
                _ => write!(self.out, "{}", Number::Float(bound))?,
            }
            self.out.push('"');
            before = ',';
        }
        self.out.write_str(if before == ',' { "} " } else { " " })
    }

    /// Its labels have 63 characters. OpenMetrics allows 128.
    fn exemplar(&mut self, Exemplar { value, span }: Exemplar) -> fmt::Result {
        let at = span.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(
            self.out,
            " # {{trace_id=\"{}\",span_id=\"{}\"}} {} {}.{:03}",
            span.trace_id,
            span.span_id,
            Number::Float(value),
            at.as_secs(),
            at.subsec_millis(),
        )
    }
}

/// A text with its backslashes and newlines escaped, and its quotes if the flag is set.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, quotes) = *self;
        let mut rest = text;
        while let Some(place) = rest.find(|c| c == '\\' || c == '\n' || (quotes && c == '"')) {
            f.write_str(&rest[..place])?;
            f.write_str(match rest.as_bytes()[place] {
                b'\n' => r"\n",
                b'"' => "\\\"",
                _ => r"\\",
            })?;
            rest = &rest[place + 1..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, kind: FamilyKind, help: &str, series: Vec<(Vec<Label>, Point)>) -> Family {
        let unit =
            name.rsplit('_').next().filter(|unit| ["seconds", "ratio"].contains(unit)).map(String::from);
        Family { name: name.to_owned(), kind, unit, help: help.to_owned(), series }
    }

    fn labelled(name: &str, value: &str) -> Vec<Label> {
        vec![(name.to_owned(), value.to_owned())]
    }

    fn plan() -> Plan {
        let one = || Point::Number(Number::Unsigned(1));
        let histogram = |sum| {
            let buckets = vec![(0.005, 0), (1.0, 1), (f64::INFINITY, 2)];
            Point::Histogram(Distribution { buckets, sum: Number::Float(sum), count: 2, exemplars: None })
        };
        let share = (labelled("path", "a\"b\\c\nd"), Point::Number(Number::Float(f64::NEG_INFINITY)));
        let took = vec![(vec![], histogram(3.25)), (labelled("signed", "yes"), histogram(-0.5))];
        let families = vec![
            family("calls", FamilyKind::Counter, "Says \"how\\often\"\nso far.", vec![(vec![], one())]),
            family(
                "odd_total",
                FamilyKind::Unknown,
                "",
                vec![(vec![], Point::Number(Number::Float(f64::NAN)))],
            ),
            family("share_ratio", FamilyKind::Gauge, "Part.", vec![share]),
            family("target", FamilyKind::Info, "Target.", vec![(labelled("service_name", "shop"), one())]),
            family("took_seconds", FamilyKind::Histogram, "Time.", took),
        ];
        Plan { families, collisions: Vec::new() }
    }

    #[test]
    fn openmetrics_text_follows_its_format() {
        let expected = r#"# TYPE calls counter
# HELP calls Says \"how\\often\"\nso far.
calls_total 1
# TYPE odd_total unknown
odd_total NaN
# TYPE share_ratio gauge
# UNIT share_ratio ratio
# HELP share_ratio Part.
share_ratio{path="a\"b\\c\nd"} -Inf
# TYPE target info
# HELP target Target.
target_info{service_name="shop"} 1
# TYPE took_seconds histogram
# UNIT took_seconds seconds
# HELP took_seconds Time.
took_seconds_bucket{le="0.005"} 0
took_seconds_bucket{le="1.0"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 3.25
took_seconds_count 2
took_seconds_bucket{signed="yes",le="0.005"} 0
took_seconds_bucket{signed="yes",le="1.0"} 1
took_seconds_bucket{signed="yes",le="+Inf"} 2
# EOF
"#;
        assert_eq!(plan().text(Format::OpenMetrics), expected);
        assert_eq!(Plan::default().text(Format::OpenMetrics), "# EOF\n");
    }

    #[test]
    fn prometheus_text_follows_its_format() {
        let expected = r#"# HELP calls_total Says "how\\often"\nso far.
# TYPE calls_total counter
calls_total 1
# TYPE odd_total untyped
odd_total NaN
# HELP share_ratio Part.
# TYPE share_ratio gauge
share_ratio{path="a\"b\\c\nd"} -Inf
# HELP target_info Target.
# TYPE target_info gauge
target_info{service_name="shop"} 1
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.005"} 0
took_seconds_bucket{le="1"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 3.25
took_seconds_count 2
took_seconds_bucket{signed="yes",le="0.005"} 0
took_seconds_bucket{signed="yes",le="1"} 1
took_seconds_bucket{signed="yes",le="+Inf"} 2
took_seconds_sum{signed="yes"} -0.5
took_seconds_count{signed="yes"} 2
"#;
        assert_eq!(plan().text(Format::Prometheus), expected);
    }
}
