//! Names, units, kinds and attributes beside what the crate of the conventions says about its constants.
//!
//! The constants hold the names alone. The rest stands in their documentation, which comes with the crate's source.

use std::{collections::HashMap, env, fs, path::PathBuf, process::Command};

use campanile::signal::{Kind, METRICS};
use opentelemetry_semantic_conventions::{attribute, metric};
use serde_json::Value;

/// Where ours is another kind than theirs, and why.
///
/// Memory in use goes up and down, and the conventions say so of every other metric of it. As a counter, each time
/// that it shrinks would pass for a restart.
const OTHER_KIND: &[(&str, Kind)] = &[(metric::CONTAINER_MEMORY_USAGE, Kind::UpDownCounter)];

/// What the source says about a constant.
#[derive(Debug)]
struct Constant {
    name: String,
    value: String,
    docs: Vec<String>,
}

#[test]
fn p41_names_units_kinds_and_attributes_are_those_of_the_conventions() {
    let source = source_of("opentelemetry-semantic-conventions");
    let attributes: HashMap<_, _> = constants(&fs::read_to_string(source.join("attribute.rs")).unwrap())
        .into_iter()
        .map(|attribute| (attribute.name, attribute.value))
        .collect();
    let metrics: HashMap<_, _> = constants(&fs::read_to_string(source.join("metric.rs")).unwrap())
        .into_iter()
        .map(|metric| (metric.value.clone(), metric))
        .collect();
    // It is the source of the very crate that this test is linked to, and it was understood.
    assert_eq!(attributes["SYSTEM_DEVICE"], attribute::SYSTEM_DEVICE);
    assert_eq!(metrics[metric::SYSTEM_DISK_IO].name, "SYSTEM_DISK_IO");
    assert_eq!(metrics[metric::SYSTEM_DISK_IO].stated("Instrument"), "counter");

    let mut faults = Vec::new();
    let mut seen = 0;
    for ours in METRICS {
        let area = ours.name.split('.').next().unwrap_or_default();
        if !["system", "process", "container", "hw"].contains(&area) {
            continue;
        }
        seen += 1;
        let Some(theirs) = metrics.get(ours.name) else {
            faults.push(format!("{} is no name of the conventions", ours.name));
            continue;
        };
        if theirs.docs.iter().any(|line| line.starts_with("#[deprecated")) {
            faults.push(format!("{} is deprecated", ours.name));
        }
        if ours.unit != theirs.stated("Unit") {
            faults.push(format!("{}: {} is not {}", ours.name, ours.unit, theirs.stated("Unit")));
        }
        let stated = match theirs.stated("Instrument") {
            "counter" => Kind::Counter,
            "updowncounter" => Kind::UpDownCounter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            other => panic!("{}: what is the kind {other:?}?", ours.name),
        };
        let another = OTHER_KIND.iter().find(|(name, _)| *name == ours.name);
        if another.is_some_and(|(_, kind)| *kind == stated) {
            faults.push(format!("{}: the conventions came round; OTHER_KIND is out of date", ours.name));
        }
        if ours.kind != another.map_or(stated, |(_, kind)| *kind) {
            faults.push(format!("{}: {:?} is not {stated:?}", ours.name, ours.kind));
        }
        let theirs: Vec<_> = theirs.attributes().collect();
        for attribute in ours.attributes {
            if !theirs.iter().any(|(constant, _)| attributes[*constant] == *attribute) {
                faults.push(format!("{}: {attribute} is not among its attributes", ours.name));
            }
        }
        for (constant, level) in theirs {
            let attribute = attributes[constant].as_str();
            if level == "Required" && !ours.attributes.contains(&attribute) {
                faults.push(format!("{}: {attribute} is missing", ours.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(seen >= 50, "only {seen} metrics were looked at");
}

#[test]
fn what_has_no_convention_is_under_our_own_name() {
    const CONVENTIONS: [&str; 6] = ["container", "http", "hw", "process", "rpc", "system"];
    for metric in METRICS {
        let area = metric.name.split('.').next().unwrap_or_default();
        assert!(area == "campanile" || CONVENTIONS.contains(&area), "{}", metric.name);
    }
}

/// The rows of the table of sources in `docs/samplers.md`: the source, and the names of metrics, of which `*` may be the end.
fn sources() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/samplers.md")).unwrap();
    let table = page.split("<!-- samplers -->").nth(1).unwrap().split("<!-- /samplers -->").next().unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = table.trim().lines().skip(2).map(|row| row.split('|').collect::<Vec<_>>());
    rows.map(|row| (names(row[1]).concat(), names(row[4]))).collect()
}

#[test]
fn the_documents_tell_where_each_metric_of_the_samplers_comes_from() {
    let patterns: Vec<_> = sources().into_iter().flat_map(|(_, metrics)| metrics).collect();
    let told = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    let sampled = [
        "system.",
        "process.",
        "container.",
        "hw.",
        "campanile.system.",
        "campanile.process.",
        "campanile.container.",
        "campanile.pressure.",
        "campanile.runtime.",
        "campanile.allocator.",
        "campanile.gpu.",
    ];
    let metrics: Vec<_> = METRICS
        .iter()
        .map(|metric| metric.name)
        .filter(|name| sampled.iter().any(|start| name.starts_with(start)))
        .collect();
    for name in &metrics {
        assert!(
            patterns.iter().any(|pattern| told(name, pattern)),
            "{name} is of no source in docs/samplers.md"
        );
    }
    for pattern in &patterns {
        assert!(metrics.iter().any(|name| told(name, pattern)), "{pattern} of docs/samplers.md is no metric");
    }
}

#[cfg(all(feature = "prometheus", target_os = "linux"))]
#[tokio::test]
async fn the_documents_tell_of_each_source() {
    use std::time::Duration;

    let telemetry =
        campanile::Telemetry::builder("test").prometheus().system(Duration::from_secs(10)).build().unwrap();
    let text = telemetry.prometheus_text();
    let told = sources();
    let mut seen = 0;
    for line in text.lines().filter(|line| line.starts_with("campanile_sampler_failures_total{")) {
        let source = line.split("source=\"").nth(1).unwrap().split('"').next().unwrap();
        // Those of other tests in this process are there too, with the allocators that they make up.
        let told = told.iter().any(|(name, _)| name == source) || source.starts_with("allocator.");
        assert!(told, "{source} is not in the table of docs/samplers.md");
        seen += 1;
    }
    assert!(seen >= 9, "{text}");
}

impl Constant {
    /// What the table in its documentation says: `/// | Unit: | `By` |`.
    fn stated(&self, what: &str) -> &str {
        let start = format!("/// | {what}: |");
        let line = self.docs.iter().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("{} does not state its {what}: {:?}", self.name, self.docs));
        line.trim_matches([' ', '|', '`'])
    }

    /// The constants of its attributes, and whether they have to be there:
    /// `/// | [`crate::attribute::CPU_MODE`] | `Required`.
    fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.docs.iter().filter_map(|line| {
            let (constant, level) = line.strip_prefix("/// | [`crate::attribute::")?.split_once("`] |")?;
            Some((constant, level.trim_matches([' ', '|', '`'])))
        })
    }
}

/// The constants of a source file in which one follows the other.
fn constants(source: &str) -> Vec<Constant> {
    let mut constants = Vec::new();
    let mut docs = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("///") || line.starts_with("#[") {
            docs.push(line.to_owned());
        } else if let Some((name, value)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": &str ="))
        {
            // A long one stands on the next line.
            let value = if value.is_empty() { lines.next().unwrap_or_default() } else { value };
            let value = value.trim().trim_matches(['"', ';']).to_owned();
            constants.push(Constant { name: name.to_owned(), value, docs: std::mem::take(&mut docs) });
        } else if line.trim().is_empty() {
            docs.clear();
        }
    }
    constants
}

/// The folder of the source of a dependency, which Cargo has unpacked to build this test.
fn source_of(package: &str) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform"])
        .arg(host())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = find(&metadata["packages"], |found| found["name"] == "campanile");
    let wanted = find(&ours["dependencies"], |found| found["name"] == package)["req"].as_str().unwrap();
    let version = wanted.trim_start_matches('^');
    let found = find(&metadata["packages"], |found| {
        // Of two versions, the one that is ours.
        found["name"] == package && found["version"].as_str().is_some_and(|found| same_minor(found, version))
    });
    PathBuf::from(found["manifest_path"].as_str().unwrap()).with_file_name("src")
}

fn find(list: &Value, wanted: impl Fn(&Value) -> bool) -> &Value {
    list.as_array().unwrap().iter().find(|one| wanted(one)).unwrap()
}

fn same_minor(one: &str, other: &str) -> bool {
    one.split('.').take(2).eq(other.split('.').take(2))
}

/// The platform that this test runs on: of others Cargo may not have everything.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}
