//! Later layers win over earlier ones, setting by setting.

use std::collections::BTreeMap;

use campanile::hub::config::{Config, Preset};
use campanile::telemetry::Console;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::Folder;

/// Settings that take a whole number from 1 to 1,000, and their defaults.
const NUMBERS: [(&str, Option<u64>); 7] = [
    ("health.letters", Some(100)),
    ("health.minimum_calls", Some(5)),
    ("health.consecutive_failures", Some(3)),
    ("dependency.payments.retry.max_attempts", Some(4)),
    ("dependency.payments.breaker.consecutive_failures", None),
    ("worker.import.retry.max_attempts", Some(4)),
    ("letters.queue.capacity", Some(100_000)),
];

/// A value of each setting, or none.
type Layer = [Option<u64>; NUMBERS.len()];

fn layer() -> impl Strategy<Value = Layer> {
    prop::array::uniform(prop::option::of(1..=1_000_u64))
}

fn set(layer: &Layer) -> impl Iterator<Item = (&'static str, u64)> {
    NUMBERS.into_iter().zip(layer).filter_map(|((path, _), value)| Some((path, (*value)?)))
}

fn toml(layer: &Layer) -> Folder {
    let lines: String = set(layer).map(|(path, value)| format!("{path} = {value}\n")).collect();
    Folder::toml(&lines)
}

fn json(layer: &Layer) -> Folder {
    let mut tree = serde_json::json!({});
    for (path, value) in set(layer) {
        let place = path.split('.').fold(&mut tree, |node, key| &mut node[key]);
        *place = value.into();
    }
    Folder::with("campanile.json", tree.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(19), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arguments_win_over_variables_and_variables_over_the_file(
        in_file in layer(), in_environment in layer(), in_arguments in layer(), as_json: bool,
    ) {
        let folder = if as_json { json(&in_file) } else { toml(&in_file) };
        let variables: Vec<_> = set(&in_environment)
            .map(|(path, value)| {
                (format!("CAMPANILE__{}", path.to_uppercase().replace('.', "__")), value.to_string())
            })
            .collect();
        let config = folder
            .loader()
            .environment(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .arguments(set(&in_arguments).map(|(path, value)| format!("{path}={value}")))
            .load()
            .expect("valid");
        let settings = serde_json::to_value(&*config.settings()).unwrap();
        for (at, (path, default)) in NUMBERS.into_iter().enumerate() {
            let expected = in_arguments[at].or(in_environment[at]).or(in_file[at]);
            let found = path.split('.').fold(&settings, |node, key| &node[key]);
            let exists = expected.is_some() || !found.is_null();
            if exists {
                prop_assert_eq!(found.as_u64(), expected.or(default), "{}", path);
            }
        }
    }

    #[test]
    fn any_two_tables_merge_key_by_key(
        below in prop::collection::btree_map("[a-zA-Z.é\"\\\\ -]{1,6}", "[a-z\"' =]{1,6}", 0..6),
        above in prop::collection::btree_map("[a-zA-Z.é\"\\\\ -]{1,6}", "[a-z\"' =]{1,6}", 0..6),
    ) {
        let file = serde_json::json!({ "telemetry": { "attributes": below } }).to_string();
        let folder = Folder::with("campanile.json", file);
        let text = |text: &String| toml_text(text);
        let arguments = above.iter().map(|(key, value)| format!("telemetry.attributes.{}={}", text(key), text(value)));
        let config = folder.loader().arguments(arguments).load().expect("valid");
        let expected: BTreeMap<_, _> = below.clone().into_iter().chain(above.clone()).collect();
        prop_assert_eq!(&config.settings().telemetry.attributes, &expected);
    }
}

/// A text as TOML writes it.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn a_preset_wins_over_the_defaults_and_the_file_over_it() {
    for (preset, console, share) in
        [(Preset::Production, Console::Json, 0.1), (Preset::Development, Console::Human, 0.2)]
    {
        let config = Config::loader("checkout").preset(preset).environment([]).load().expect("valid");
        let settings = config.settings();
        assert_eq!((settings.logging.console, settings.health.error_share), (console, share), "{preset}");
        assert!(config.show(true).contains(&format!("error_share = {share} # preset {preset}\n")));
    }
    let folder = Folder::toml("[health]\nerror_share = 0.3");
    let config = folder
        .loader()
        .preset(Preset::Production)
        .environment([("CAMPANILE_PRESET", "development")])
        .load()
        .expect("valid");
    assert_eq!(config.settings().logging.console, Console::Human, "the variable wins");
    assert_eq!(config.settings().health.error_share, 0.3);
}

#[test]
fn a_variable_names_the_file() {
    let (one, other) = (Folder::toml("[health]\nletters = 1"), Folder::toml("[health]\nletters = 2"));
    let path = other.path().display().to_string();
    let config = one.loader().environment([("CAMPANILE_CONFIG", path.as_str())]).load().expect("valid");
    assert_eq!(config.settings().health.letters, 2);
}

#[test]
fn a_choice_of_a_later_layer_replaces_that_of_an_earlier_one() {
    let folder = Folder::toml("[dependency.a.breaker]\nwindow = { count = 50 }");
    let config = folder.loader().arguments(["dependency.a.breaker.window.time=10s"]).load().expect("valid");
    let window = config.settings().dependency["a"].breaker.as_ref().expect("a breaker").window;
    assert_eq!(window, campanile::Window::time(std::time::Duration::from_secs(10)));
}

#[test]
fn queues_have_what_all_queues_have() {
    let folder = Folder::toml(
        "[letters]\neverywhere = true\ndirectory = \"/var/lib/checkout\"\n[letters.queue]\ncapacity = 7\nbody_cap = 9\n\
         [dependency.a]\n[dependency.b]\nletters = false\n[dependency.c.letters]\ncapacity = 8\nstore = { kind = \"memory\" }\n\
         [worker.w]\n",
    );
    let config = folder.loader().load().expect("valid");
    let settings = config.settings();
    let letters = |name: &str| settings.dependency[name].letters.as_ref();
    let store = |path: &str| campanile::dead_letter::StoreSettings::Sqlite { path: path.into() };
    let a = letters("a").expect("a queue");
    assert_eq!((a.capacity, a.body_cap, &a.store), (7, 9, &store("/var/lib/checkout/a.db")));
    assert_eq!(letters("b"), None);
    let c = letters("c").expect("a queue");
    assert_eq!((c.capacity, c.body_cap, &c.store), (8, 9, &campanile::dead_letter::StoreSettings::Memory));
    assert_eq!(
        settings.worker["w"].letters.as_ref().expect("a queue").store,
        store("/var/lib/checkout/w.db")
    );
    let origin = format!("capacity = 7 # {}:5\n", folder.path().display());
    assert_eq!(config.show(true).matches(&origin).count(), 3, "{}", config.show(true));
}

#[test]
fn the_pipeline_has_the_settings_of_other_sections() {
    let config = Config::loader("checkout")
        .environment([])
        .arguments([
            "logging.console=off",
            "logging.filter=warn",
            "logging.records.level=error",
            "sampler.every=3s",
        ])
        .load()
        .expect("valid");
    let pipeline = config.settings().pipeline();
    assert_eq!((pipeline.console, pipeline.env_filter.as_str()), (Console::Off, "warn"));
    assert_eq!(pipeline.sampler.expect("a sampler").every, std::time::Duration::from_secs(3));
    assert!(!pipeline.prometheus);
}
