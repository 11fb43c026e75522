//! Files that cannot be read or parsed.

use std::time::Duration;

use campanile::hub::config::Config;

use crate::Folder;

fn said(name: &'static str, text: impl AsRef<[u8]>) -> Vec<String> {
    let folder = Folder::with(name, text);
    match folder.loader().load() {
        Ok(_) => Vec::new(),
        Err(errors) => folder.faults(&errors),
    }
}

#[test]
fn broken_syntax_is_named_with_line_and_column() {
    assert_eq!(
        said("a.toml", "[health]\nletters = 5\nerror_share = = 1\n\n[data\n"),
        [
            "a.toml:3: column 15: extra `=`, expected nothing",
            "a.toml:5: column 6: unclosed table, expected `]`"
        ]
    );
    assert_eq!(said("a.toml", "[health]\nletters = 5\n\nletters = 6"), ["a.toml:4: column 1: duplicate key"]);
    assert_eq!(
        said("a.json", "{\n  \"health\": {\n    \"letters\": 5,\n  }\n}"),
        ["a.json:4: column 3: trailing comma"]
    );
    assert_eq!(
        said("a.json", "{ \"health\": { \"letters\": 5,\n \"round\": \"5s\",\n \"letters\": 6 } }"),
        ["a.json:3: the key `letters` stands twice in its object"]
    );
    assert_eq!(said("a.json", "[1, 2]"), ["a.json:1: the file must hold one JSON object"]);
    assert_eq!(said("a.json", "{} {}"), ["a.json:1: column 4: trailing characters"]);
    assert_eq!(said("a.toml", b"[data]\n\ndirectory = \"\xff\""), ["a.toml:3: the file is not valid UTF-8"]);
    assert_eq!(said("a.toml", ""), [""; 0]);
    assert_eq!(said("a.toml", "\u{feff}[health]\nletters = 5"), [""; 0]);
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    assert_eq!(said("a.json", format!("{{\"data\": {}}}", deep("[", "]"))).len(), 1);
    assert!(!said("a.toml", format!("data = {}", deep("[", "]"))).is_empty());
    assert!(!said("a.toml", format!("data = {}", deep("{a=", "}"))).is_empty());
    assert!(!said("a.toml", format!("[{}b]\nc = 1", "a.".repeat(100_000))).is_empty());
    assert!(!said("a.toml", format!("{}b = 1", "a.".repeat(100_000))).is_empty());
    let (variable, argument) =
        (format!("CAMPANILE{}", "__A".repeat(10_000)), format!("{}a=1", "a.".repeat(10_000)));
    let loader = Config::loader("checkout").environment([(variable.as_str(), "1")]).arguments([argument]);
    let errors = loader.load().expect_err("both are too deep");
    let said: Vec<_> = errors.faults().iter().map(|fault| fault.message()).collect();
    assert_eq!(said, ["has more than 32 parts", "is no path of keys; write section.key=value"]);
}

#[test]
fn files_that_are_none_are_named() {
    assert_eq!(said("a.yaml", ""), ["a.yaml: the name of the file must end in .toml or .json"]);
    assert_eq!(said("a.toml", " ".repeat(1024 * 1024 + 1)), ["a.toml: the file is larger than 1 MiB"]);

    let folder = Folder::toml("");
    std::fs::remove_file(folder.path()).expect("the file is gone");
    let errors = folder.loader().load().expect_err("no file");
    assert_eq!(folder.faults(&errors), ["campanile.toml: the file does not exist"]);
    std::fs::create_dir(folder.path()).expect("a folder");
    let errors = folder.loader().load().expect_err("a folder");
    assert_eq!(folder.faults(&errors), ["campanile.toml: this is a directory; name a file in it"]);
}

#[test]
fn json_and_toml_say_the_same_with_the_same_lines() {
    let toml = "[dependency.payments]\nbreaker = false\n[dependency.payments.retry]\nmax_attempts = 2\ndeadline = \"3s\"\n\
                grpc_codes = [\n8,\n14]\n";
    let json = "{ \"dependency\": { \"payments\": {\n\"breaker\": false,\n\"retry\": {\n\"max_attempts\": 2,\n\"deadline\": \
                \"3s\",\n\"grpc_codes\": [\n8,\n14] } } } }";
    let files = [Folder::toml(toml), Folder::with("campanile.json", json)];
    let [toml, json] = files.each_ref().map(|folder| folder.loader().load().expect("valid"));
    assert_eq!(toml.settings(), json.settings());
    let payments = &toml.settings().dependency["payments"];
    assert_eq!(payments.breaker, None);
    let retry = payments.retry.as_ref().expect("retries");
    assert_eq!((retry.max_attempts, retry.deadline), (2, Some(Duration::from_secs(3))));
    for (folder, config) in files.iter().zip([toml, json]) {
        let shown = config.show(true);
        for (line, text) in [
            (2, "breaker = false"),
            (4, "max_attempts = 2"),
            (5, "deadline = \"3s\""),
            (6, "grpc_codes = [8, 14]"),
        ] {
            let expected = format!("{text} # {}:{line}\n", folder.path().display());
            assert!(shown.contains(&expected), "{expected}\n{shown}");
        }
    }
}

#[test]
fn null_and_false_turn_off_what_is_on_by_default() {
    let json = Folder::with(
        "a.json",
        r#"{ "dependency": { "a": { "retry": { "budget": null } } }, "sampler": null }"#,
    );
    let toml = Folder::toml("sampler = false\n[dependency.a.retry]\nbudget = false\n");
    for folder in [json, toml] {
        let settings = folder.loader().load().expect("valid").settings();
        assert_eq!(settings.dependency["a"].retry.as_ref().expect("retries").budget, None);
        assert_eq!(settings.sampler, None);
    }
}

#[test]
fn without_a_file_the_defaults_are_in_force() {
    let config = Config::loader("checkout").environment([]).load().expect("the defaults are valid");
    assert_eq!(config.settings().telemetry.service_name, "checkout");
    assert_eq!(config.warnings(), [""; 0]);
}
