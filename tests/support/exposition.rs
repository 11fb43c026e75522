//! A strict parser of Prometheus text 0.0.4 and of OpenMetrics 1.0.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

#[derive(Clone, Debug)]
pub struct Family {
    /// The name in its `TYPE` line.
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub help: Option<String>,
    pub samples: Vec<Sample>,
}

pub type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
    pub exemplar: Option<(Labels, f64)>,
}

/// Parses the families of `text`.
///
/// # Errors
///
/// The first violation of the format, with its line.
pub fn parse(text: &str, format: Format) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    let body = match format {
        Format::Prometheus if text.is_empty() => return Ok(families),
        Format::Prometheus => text.strip_suffix('\n').ok_or("the last line has no newline")?,
        Format::OpenMetrics if text == "# EOF\n" => return Ok(families),
        Format::OpenMetrics => text.strip_suffix("\n# EOF\n").ok_or("no `# EOF` at the end")?,
    };
    for line in body.split('\n') {
        read(line, format, &mut families).map_err(|why| format!("{why}: {line}"))?;
    }
    check(&families, format)?;
    Ok(families)
}

fn read(line: &str, format: Format, families: &mut Vec<Family>) -> Result<(), String> {
    let Some(comment) = line.strip_prefix("# ") else {
        if line.starts_with('#') {
            return Err("a malformed comment".to_owned());
        }
        let sample = sample(line, format)?;
        let family = families.last_mut().ok_or("a sample without a family")?;
        family.samples.push(sample);
        return Ok(());
    };
    let (what, rest) = comment.split_once(' ').ok_or("a malformed comment")?;
    let (name, value) = rest.split_once(' ').ok_or("a comment without a value")?;
    if !is_name(name, true) {
        return Err("a malformed name".to_owned());
    }
    let open = families.last().is_some_and(|it| it.name == name && it.samples.is_empty());
    if !open {
        if families.iter().any(|it| it.name == name) {
            return Err("a family in two places".to_owned());
        }
        let [kind, name] = [String::new(), name.to_owned()];
        families.push(Family { name, kind, unit: None, help: None, samples: Vec::new() });
    }
    let family = families.last_mut().ok_or("no family")?;
    match what {
        "TYPE" if family.kind.is_empty() => family.kind = value.to_owned(),
        "HELP" if family.help.is_none() => {
            let quotes = format == Format::OpenMetrics;
            family.help = Some(unescape(value, quotes)?);
        }
        "UNIT" if family.unit.is_none() && format == Format::OpenMetrics => {
            family.unit = Some(value.to_owned())
        }
        _ => return Err("a repeated or unknown comment".to_owned()),
    }
    Ok(())
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    name.chars().all(fits) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// Resolves the escapes of a text. With `quotes`, a quotation mark must be escaped.
fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => return Err(format!("an unknown escape {other:?}")),
            },
            '"' if quotes => return Err("an unescaped quotation mark".to_owned()),
            c => c,
        });
    }
    Ok(plain)
}

fn sample(line: &str, format: Format) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err("a malformed name".to_owned());
    }
    let (labels, rest) = if rest.starts_with('{') { labels(rest)? } else { (Labels::new(), rest) };
    let rest = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let (value, exemplar) = match rest.split_once(" # ") {
        Some(_) if format == Format::Prometheus => return Err("an exemplar in Prometheus text".to_owned()),
        Some((value, exemplar)) => (value, Some(read_exemplar(exemplar)?)),
        None => (rest, None),
    };
    Ok(Sample { name: name.to_owned(), labels, value: number(value)?, exemplar })
}

/// The labels between braces, and the text after them.
fn labels(text: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    let mut rest = text.strip_prefix('{').ok_or("no labels")?;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name, false) || name.starts_with("__") {
            return Err(format!("a malformed label: {name:?}"));
        }
        let mut escaped = false;
        let end = after.char_indices().find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (end, _) = end.ok_or("a label without a closing quotation mark")?;
        let value = unescape(&after[..end], true)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} occurs twice"));
        }
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((labels, rest.strip_prefix('}').ok_or("labels without a closing brace")?)),
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ if text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) => {
            text.parse().map_err(|_| format!("not a number: {text:?}"))
        }
        _ => Err(format!("not a number: {text:?}")),
    }
}

fn read_exemplar(text: &str) -> Result<(Labels, f64), String> {
    let (labels, rest) = labels(text)?;
    let length: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if length > 128 {
        return Err("an exemplar of more than 128 characters".to_owned());
    }
    let mut numbers = rest.strip_prefix(' ').ok_or("an exemplar without a value")?.split(' ').map(number);
    let value = numbers.next().ok_or("an exemplar without a value")??;
    numbers.next().transpose()?;
    if numbers.next().is_some() {
        return Err("text after an exemplar".to_owned());
    }
    Ok((labels, value))
}

/// The names that a family occupies.
fn occupied(family: &Family, format: Format) -> Vec<String> {
    let endings: &[&str] = match (family.kind.as_str(), format) {
        ("histogram", Format::OpenMetrics) => &["", "_bucket", "_sum", "_count", "_created"],
        ("histogram", Format::Prometheus) => &["", "_bucket", "_sum", "_count"],
        ("counter", Format::OpenMetrics) => &["", "_total", "_created"],
        ("info", Format::OpenMetrics) => &["", "_info"],
        _ => &[""],
    };
    endings.iter().map(|ending| format!("{}{ending}", family.name)).collect()
}

fn check(families: &[Family], format: Format) -> Result<(), String> {
    let (mut names, mut series) = (BTreeSet::new(), BTreeSet::new());
    for family in families {
        let at = |why: &str| format!("{why} in {}", family.name);
        for name in occupied(family, format) {
            if !names.insert(name.clone()) {
                return Err(at(&format!("{name} belongs to another family")));
            }
        }
        if family.samples.is_empty() {
            return Err(at("no samples"));
        }
        for sample in &family.samples {
            // A label with an empty value counts as absent.
            let labels: Vec<_> = sample.labels.iter().filter(|(_, value)| !value.is_empty()).collect();
            if !series.insert((sample.name.clone(), format!("{labels:?}"))) {
                return Err(at(&format!("a repeated series: {sample:?}")));
            }
            if sample.labels.contains_key("quantile")
                || (sample.labels.contains_key("le") && !sample.name.ends_with("_bucket"))
            {
                return Err(at(&format!("a reserved label: {sample:?}")));
            }
        }
        if let Some(unit) = &family.unit
            && (unit.is_empty() || family.kind == "info" || !family.name.ends_with(&format!("_{unit}")))
        {
            return Err(at("a unit that the name does not end with"));
        }
        check_kind(family, format).map_err(|why| at(&why))?;
    }
    Ok(())
}

fn check_kind(family: &Family, format: Format) -> Result<(), String> {
    let openmetrics = format == Format::OpenMetrics;
    let named = |ending: &str| {
        let name = format!("{}{ending}", family.name);
        family
            .samples
            .iter()
            .find(|it| it.name != name)
            .map_or(Ok(()), |it| Err(format!("{} does not belong to the family", it.name)))
    };
    let all = |fits: fn(f64) -> bool| {
        family
            .samples
            .iter()
            .find(|it| !fits(it.value))
            .map_or(Ok(()), |it| Err(format!("a forbidden value {}", it.value)))
    };
    if family.kind != "histogram" && family.samples.iter().any(|it| it.exemplar.is_some()) {
        return Err("an exemplar outside of a bucket".to_owned());
    }
    match (family.kind.as_str(), openmetrics) {
        ("counter", false) | ("gauge", _) | ("untyped", false) | ("unknown", true) => named(""),
        ("counter", true) => named("_total").and_then(|()| all(|value| value >= 0.0)),
        ("info", true) => named("_info").and_then(|()| all(|value| value == 1.0)),
        ("histogram", _) => check_histogram(family, openmetrics),
        (other, _) => Err(format!("an unknown type {other:?}")),
    }
}

fn check_histogram(family: &Family, openmetrics: bool) -> Result<(), String> {
    let mut rest = &family.samples[..];
    let mut seen = BTreeSet::new();
    while let Some(first) = rest.first() {
        let labels = |sample: &Sample| {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            labels
        };
        let own = labels(first);
        if !seen.insert(own.clone()) {
            return Err(format!("the samples of a point are not consecutive: {first:?}"));
        }
        let length = rest.iter().take_while(|it| labels(it) == own).count();
        let (point, others) = rest.split_at(length);
        rest = others;
        let of = |ending: &str| {
            let name = format!("{}{ending}", family.name);
            point.iter().filter(move |it| it.name == name).collect::<Vec<_>>()
        };
        let (buckets, sums, counts) = (of("_bucket"), of("_sum"), of("_count"));
        if buckets.len() + sums.len() + counts.len() != length {
            return Err(format!("samples that do not belong to a histogram: {point:?}"));
        }
        let (mut below, mut last) = (0.0, f64::NEG_INFINITY);
        let mut negative = false;
        for bucket in &buckets {
            let le = bucket.labels.get("le").ok_or("a bucket without a bound")?;
            let bound = number(le)?;
            if openmetrics && !le.contains(['.', 'e']) && le != "+Inf" {
                return Err(format!("a bound that is not a float: {le}"));
            }
            if bound <= last || bucket.value < below {
                return Err(format!("buckets that are not cumulative: {bucket:?}"));
            }
            if bucket.exemplar.as_ref().is_some_and(|(_, value)| *value > bound || *value <= last) {
                return Err(format!("an exemplar of another bucket: {bucket:?}"));
            }
            negative |= bound < 0.0;
            (below, last) = (bucket.value, bound);
        }
        if last != f64::INFINITY {
            return Err("no bucket `+Inf`".to_owned());
        }
        match (openmetrics, &sums[..], &counts[..]) {
            (true, [], []) => {}
            (_, [sum], [count]) => {
                if count.value != below {
                    return Err(format!("a count of {}, and {below} values in buckets", count.value));
                }
                if openmetrics && (negative || sum.value < 0.0 || sum.value.is_nan()) {
                    return Err(format!("a forbidden sum {}", sum.value));
                }
            }
            _ => return Err("a sum without a count, or a count without a sum".to_owned()),
        }
    }
    Ok(())
}

#[test]
fn the_parser_refuses_violations() {
    let both = |text: &str| {
        let openmetrics = format!("{text}# EOF\n");
        [parse(text, Format::Prometheus).is_ok(), parse(&openmetrics, Format::OpenMetrics).is_ok()]
    };
    for (text, expected) in [
        ("# TYPE x gauge\n# HELP x A.\nx{a=\"\\\\\\\"\\n\"} 1\n", [true, true]),
        ("# TYPE x counter\nx_total 1\n", [false, true]),
        ("# TYPE x_total counter\nx_total 1\n", [true, false]),
        ("# TYPE x counter\nx_total -1\n", [false, false]),
        ("# TYPE x gauge\nx 1\nx 1\n", [false, false]),
        ("# TYPE x gauge\nx{a=\"\"} 1\nx 1\n", [false, false]),
        ("# TYPE x gauge\n# TYPE x gauge\nx 1\n", [false, false]),
        ("# TYPE x gauge\nx 1\n# TYPE y gauge\ny 1\n# HELP x A.\nx{a=\"b\"} 1\n", [false, false]),
        ("# TYPE x gauge\n# TYPE y gauge\ny 1\n", [false, false]),
        ("# TYPE x gauge\nx{a=\"b\",a=\"c\"} 1\n", [false, false]),
        ("# TYPE x gauge\nx{le=\"b\"} 1\n", [false, false]),
        ("# TYPE x gauge\nx{__a=\"b\"} 1\n", [false, false]),
        ("# TYPE x gauge\nx{a=\"\\t\"} 1\n", [false, false]),
        ("# TYPE x gauge\nx inf\n", [false, false]),
        ("# TYPE x gauge\nx 1\n\n", [false, false]),
        ("# TYPE x gauge\n# HELP x \"A\"\nx 1\n", [true, false]),
        ("# TYPE x_s gauge\n# UNIT x_s s\nx_s 1\n", [false, true]),
        ("# TYPE xs gauge\n# UNIT xs s\nxs 1\n", [false, false]),
        ("# TYPE x counter\nx_total 1\n# TYPE x_created gauge\nx_created 1\n", [false, false]),
        (
            "# TYPE x histogram\nx_bucket{le=\"1.0\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
            [true, true],
        ),
        (
            "# TYPE x histogram\nx_bucket{le=\"1.0\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
            [false, false],
        ),
        ("# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 2\n", [false, false]),
        ("# TYPE x histogram\nx_bucket{le=\"1.0\"} 1\nx_sum 1\nx_count 1\n", [false, false]),
        ("# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum -1\nx_count 1\n", [true, false]),
        (
            "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
            [true, false],
        ),
        ("# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\n", [false, true]),
    ] {
        assert_eq!(both(text), expected, "{text}");
    }
    assert!(parse("# TYPE x gauge\nx 1\n", Format::OpenMetrics).is_err());
    assert!(parse("# TYPE x gauge\nx 1", Format::Prometheus).is_err());
}
