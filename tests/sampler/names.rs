//! Compares names, units, kinds and attributes with the crate of the OpenTelemetry conventions.
//!
//! Its constants contain only the names. The rest is in their documentation, which is in the crate's source.

use std::{collections::HashMap, env, fs, path::PathBuf, process::Command};

use campanile::signal::{Kind, METRICS};
use opentelemetry_semantic_conventions::{attribute, metric};
use serde_json::Value;

/// Metrics whose kind differs from the convention.
///
/// Memory in use can shrink, and all other memory metrics of the conventions are up-down counters. A counter that shrinks
/// looks like a restart.
const OTHER_KIND: &[(&str, Kind)] = &[(metric::CONTAINER_MEMORY_USAGE, Kind::UpDownCounter)];

/// A constant and its documentation.
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
    // The source is that of the linked crate, and it was parsed correctly.
    assert_eq!(attributes["SYSTEM_DEVICE"], attribute::SYSTEM_DEVICE);
    assert_eq!(metrics[metric::SYSTEM_DISK_IO].name, "SYSTEM_DISK_IO");
    assert_eq!(metrics[metric::SYSTEM_DISK_IO].stated("Instrument"), "counter");

    let mut faults = Vec::new();
    let mut seen = 0;
    for ours in METRICS {
        let area = ours.name.split('.').next().unwrap_or_default();
        if !["system", "process", "container", "hw", "db"].contains(&area) {
            continue;
        }
        seen += 1;
        let Some(theirs) = metrics.get(ours.name) else {
            faults.push(format!("{} is not a name of the conventions", ours.name));
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
            other => panic!("{}: unknown kind {other:?}", ours.name),
        };
        let another = OTHER_KIND.iter().find(|(name, _)| *name == ours.name);
        if another.is_some_and(|(_, kind)| *kind == stated) {
            faults.push(format!(
                "{}: the conventions have the same kind now; remove it from OTHER_KIND",
                ours.name
            ));
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
    assert!(seen >= 50, "only {seen} metrics were compared");
}

#[test]
fn metrics_without_a_convention_begin_with_campanile() {
    const CONVENTIONS: [&str; 7] = ["container", "db", "http", "hw", "process", "rpc", "system"];
    for metric in METRICS {
        let area = metric.name.split('.').next().unwrap_or_default();
        assert!(area == "campanile" || CONVENTIONS.contains(&area), "{}", metric.name);
    }
}

/// The rows of the table in `docs/samplers.md`: the source and its metrics. A name may end with `*`.
fn sources() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/samplers.md")).unwrap();
    let table = page.split("<!-- samplers -->").nth(1).unwrap().split("<!-- /samplers -->").next().unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = table.trim().lines().skip(2).map(|row| row.split('|').collect::<Vec<_>>());
    rows.map(|row| (names(row[1]).concat(), names(row[4]))).collect()
}

#[test]
fn the_documents_list_the_source_of_each_sampled_metric() {
    let patterns: Vec<_> = sources().into_iter().flat_map(|(_, metrics)| metrics).collect();
    let matches = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
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
            patterns.iter().any(|pattern| matches(name, pattern)),
            "docs/samplers.md has no source for {name}"
        );
    }
    for pattern in &patterns {
        assert!(
            metrics.iter().any(|name| matches(name, pattern)),
            "docs/samplers.md lists {pattern}, which is not a metric"
        );
    }
}

#[cfg(all(feature = "prometheus", target_os = "linux"))]
#[tokio::test]
async fn the_documents_list_each_source() {
    use std::time::Duration;

    let telemetry =
        campanile::Telemetry::builder("test").prometheus().system(Duration::from_secs(10)).build().unwrap();
    let text = telemetry.prometheus_text();
    let rows = sources();
    let mut seen = 0;
    for line in text.lines().filter(|line| line.starts_with("campanile_sampler_failures_total{")) {
        let source = line.split("source=\"").nth(1).unwrap().split('"').next().unwrap();
        // Other tests in this process have samplers too, with test allocators.
        let listed = rows.iter().any(|(name, _)| name == source) || source.starts_with("allocator.");
        assert!(listed, "{source} is not in the table of docs/samplers.md");
        seen += 1;
    }
    assert!(seen >= 9, "{text}");
}

impl Constant {
    /// An entry of the table in its documentation: `/// | Unit: | `By` |`.
    fn stated(&self, what: &str) -> &str {
        let start = format!("/// | {what}: |");
        let line = self.docs.iter().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("{} does not state its {what}: {:?}", self.name, self.docs));
        line.trim_matches([' ', '|', '`'])
    }

    /// The constants of its attributes, and their requirement levels:
    /// `/// | [`crate::attribute::CPU_MODE`] | `Required`.
    fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.docs.iter().filter_map(|line| {
            let (constant, level) = line.strip_prefix("/// | [`crate::attribute::")?.split_once("`] |")?;
            Some((constant, level.trim_matches([' ', '|', '`'])))
        })
    }
}

/// The constants of a source file.
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
            // A long value is on the next line.
            let value = if value.is_empty() { lines.next().unwrap_or_default() } else { value };
            let value = value.trim().trim_matches(['"', ';']).to_owned();
            constants.push(Constant { name: name.to_owned(), value, docs: std::mem::take(&mut docs) });
        } else if line.trim().is_empty() {
            docs.clear();
        }
    }
    constants
}

/// The source folder of a dependency, which Cargo has unpacked to build this test.
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
        // The version that this crate uses.
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

/// The platform of this test. Cargo may not have the dependencies of other platforms.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}
