//! The template and what is shown are files that can be read.

use campanile::hub::config::{
    Config, DatabaseSection, DependencySection, EndpointSection, ServerSection, Settings, WorkerSection,
    template,
};

use crate::Folder;

/// The template with every default written out.
fn uncommented(template: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|first: char| first != ' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    template.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Settings {
    let config = Config::loader("unknown_service").file(Folder::toml(text).path());
    let folder = Folder::toml(text);
    let config = config.file(folder.path()).environment([]).load();
    config.unwrap_or_else(|errors| panic!("{errors}\n{text}")).settings().as_ref().clone()
}

#[test]
fn a_template_is_the_defaults() {
    for full in [false, true] {
        let template = template(full);
        assert_eq!(read(&template), Settings::default());

        let mut expected = Settings::default();
        let mut dependency = DependencySection::default();
        let mut worker = WorkerSection::default();
        if full {
            dependency.letters = Some(Default::default());
            dependency.check = Some(Default::default());
            worker.retry = Some(Default::default());
            worker.letters = Some(Default::default());
        }
        expected.server.insert("api".into(), ServerSection::default());
        expected.dependency.insert("payments".into(), dependency);
        expected.worker.insert("import".into(), worker);
        expected.database.insert("orders".into(), DatabaseSection::default());
        expected.endpoint.insert("search".into(), EndpointSection::default());
        // The only setting without a default that is required.
        let text = uncommented(&template).replace("# address is not set.", "address = \"http://search/\"");
        for address in [
            &mut expected.endpoint.get_mut("search").unwrap().address,
            &mut expected.database.get_mut("orders").unwrap().address,
        ] {
            *address = Some("http://search/".into());
        }
        if full {
            let check = expected.dependency.get_mut("payments").unwrap().check.as_mut().unwrap();
            check.address = Some("http://search/".into());
        }
        assert_eq!(serde_json::to_value(read(&text)).unwrap(), serde_json::to_value(expected).unwrap());
    }
}

#[test]
fn a_full_template_has_every_setting_and_what_it_is_for() {
    let full = template(true);
    let mut missing = Vec::new();
    for line in include_str!("../../src/hub/config/explanations.txt").lines() {
        let (path, text) = line.split_once('\t').expect("a path and a text");
        let key = path.rsplit('.').next().expect("a key");
        let is_moved = [
            "telemetry.console",
            "telemetry.env_filter",
            "telemetry.logs",
            "telemetry.sampler",
            "telemetry.system",
            "telemetry.gpu",
        ]
        .iter()
        .any(|moved| path == *moved || path.starts_with(&format!("{moved}.")));
        let is_there = [
            format!("#{key} ="),
            format!("# {key} is"),
            format!(".{key}]"),
            format!("[{key}]"),
            format!(".{key}:"),
        ];
        let is_section = full.contains(&format!("[{key}.")) && !path.contains('.');
        if !is_moved && !is_section && !is_there.iter().any(|form| full.contains(form.as_str())) {
            missing.push(path);
        }
        assert!(!text.is_empty(), "{path} has no documentation");
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(full.lines().all(|line| line.starts_with('#') && line.chars().count() <= 101
        || line.is_empty()
        || line.starts_with('[')
        || line.starts_with('#')));
    let short = template(false);
    assert!(short.len() < full.len() / 2, "the short one is short");
    assert!(short.contains("# [dependency.payments.breaker] is a table"), "{short}");
    assert!(full.contains("\n#[dependency.payments.breaker]\n"), "{full}");
}

#[test]
fn what_is_shown_can_be_read_and_is_the_same() {
    let folder = Folder::toml(
        "[dependency.\"api.internal\"]\nbreaker = false\nrestart_command = [\"a\", \"b \\\" c\"]\n[dependency.b.retry]\nbudget = \
         false\ndeadline = \"1m 30s\"\n[dependency.b.breaker]\nadaptive = true\nslow_call = { limit = \"2s\", rate = 0.5 }\n\
         [sampler.thresholds]\nload = false\n[worker.w.letters]\n[telemetry.attributes]\n\"a.b\" = \"c\"\n",
    );
    let config = folder.loader().load().expect("valid");
    for origin in [false, true] {
        let shown = config.show(origin);
        let again = Folder::toml(&shown);
        let read = again.loader().load().unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
        assert_eq!(read.settings(), config.settings(), "{shown}");
    }
}
