//! Hostile files, variables and names: what is shown reaches a terminal, and what is read is bounded.

use campanile::hub::config::Config;

use crate::Folder;

/// Whether a terminal obeys or hides something of the text. Lines are allowed.
fn is_raw(text: &str) -> bool {
    text.chars().any(|character| {
        character.is_control() && character != '\n' || ('\u{202a}'..='\u{202e}').contains(&character)
    })
}

const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{202e}\r";

fn outcome(loaded: Result<Config, campanile::hub::config::ConfigErrors>) -> String {
    match loaded {
        Ok(config) => format!("{}\n{}", config.show(true), config.warnings().join("\n")),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn nothing_that_is_shown_commands_the_terminal() {
    let escaped = HOSTILE.escape_unicode().to_string().replace("\\u{", "\\U{");
    let escaped: String = escaped
        .split("\\U{")
        .filter_map(|code| code.strip_suffix('}'))
        .map(|code| format!("\\U{code:0>8}"))
        .collect();
    for text in [
        format!("[dependency.\"{escaped}\"]\nbreaker = true"),
        format!("\"{escaped}\" = 1"),
        format!("[telemetry]\nservice_name = \"{escaped}\\n\""),
        format!("[logging]\nfilter = \"{escaped}\""),
        format!("[shutdown]\ngrace = \"{escaped}\""),
        format!("[telemetry]\nservice_name = {{ env = \"{escaped}\" }}"),
        format!("[telemetry]\nservice_name = {{ file = \"/{escaped}\" }}"),
        format!("[server.api]\ncorrelation_headers = [\"{escaped}\"]"),
    ] {
        let shown = outcome(Folder::toml(&text).loader().load());
        assert!(!is_raw(&shown), "{text}: {shown:?}");
    }
    let escaped = serde_json::to_string(HOSTILE).unwrap();
    let twice = Folder::with("campanile.json", format!("{{ {escaped}: 1, {escaped}: 1 }}"));
    assert!(!is_raw(&outcome(twice.loader().load())));
    for (name, value) in [
        (format!("CAMPANILE__{HOSTILE}").as_str(), "1"),
        ("CAMPANILE_CONFIG", HOSTILE),
        ("CAMPANILE_PRESET", HOSTILE),
        ("METRICS_HTTP_PORT", HOSTILE),
        (&format!("CAMPANILE_HEALTH_{HOSTILE}"), "1"),
    ] {
        let shown = outcome(Config::loader("checkout").environment([(name, value)]).load());
        assert!(!is_raw(&shown), "{name:?}: {shown:?}");
    }
    for argument in [format!("{HOSTILE}=1"), HOSTILE.to_owned(), format!("\"{HOSTILE}=1")] {
        let shown = outcome(Config::loader("checkout").environment([]).arguments([&argument]).load());
        assert!(!is_raw(&shown), "{argument:?}: {shown:?}");
    }
}

#[test]
fn a_value_with_escapes_is_shown_as_toml_that_means_the_same() {
    let name = "line\none \"two\" back\\slash \u{9b}31m \u{202e}";
    let config = Config::loader(name).environment([]).load().unwrap();
    let again = Folder::toml(&config.show(false)).loader().load().unwrap();
    assert_eq!(again.settings().telemetry.service_name, name);
}

#[cfg(unix)]
#[test]
fn the_name_of_a_file_is_shown_without_its_commands() {
    let name: &'static str = "c\u{1b}[2J\n.toml";
    for text in ["x = 1", "[health]\nletters = 3", "= ="] {
        let shown = outcome(Folder::with(name, text).loader().load());
        assert!(!is_raw(&shown) && !shown.contains("[2J\n"), "{shown:?}");
    }
}

#[test]
fn a_key_as_long_as_the_file_makes_a_short_message() {
    for text in [format!("{} = 1", "k".repeat(1_000_000)), format!("[health]\n{} = 1", "k".repeat(1_000_000))]
    {
        let errors = Folder::toml(&text).loader().load().unwrap_err();
        assert!(errors.to_string().len() < 10_000, "{} bytes", errors.to_string().len());
    }
    let duration = format!("[shutdown]\ngrace = \"{}\"", "9".repeat(1_000_000));
    assert!(Folder::toml(&duration).loader().load().unwrap_err().to_string().len() < 10_000);
}

#[test]
fn a_number_that_is_a_secret_is_not_shown() {
    let number = Folder::with("number", "4242");
    let text = format!("[health]\nletters = {{ file = {:?} }}", number.path());
    let folder = Folder::toml(&text);
    let config = folder.loader().load().unwrap();
    assert_eq!(config.settings().health.letters, 4_242);
    assert!(!config.show(true).contains("4242"));
    number.write("4343");
    let changes = config.reload().unwrap();
    let change = changes.iter().next().expect("a change");
    assert!(change.setting == "health.letters" && !change.to_string().contains("4343"), "{change}");
}

/// A name is also the name of a file.
#[tokio::test]
async fn a_name_in_code_leads_to_no_other_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("letters");
    std::fs::create_dir(&inner).unwrap();
    let campanile = campanile::Campanile::builder("checkout")
        .environment([])
        .arguments([format!("letters.directory={}", inner.display()), "letters.everywhere=true".to_owned()])
        .start()
        .await
        .unwrap();
    let absolute = folder.path().join("absolute").display().to_string();
    for name in ["../other", &absolute, "a/b", "..", "", " ", "a\u{1b}[2J", &"x".repeat(129)] {
        let error = campanile.dependency(name).build().await.unwrap_err().to_string();
        assert!(error.contains("allowed: letters, digits"), "{name:?}: {error}");
        assert!(campanile.worker(name).build().await.is_err(), "{name:?}");
        assert!(campanile.server(name).build().is_err(), "{name:?}");
    }
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["letters"]);
    campanile.dependency("payments: eu 1").build().await.unwrap();
    assert!(inner.join("payments: eu 1.db").exists());
}

/// Names that callers choose would open a file each.
#[tokio::test]
async fn a_part_that_is_refused_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let campanile = campanile::Campanile::builder("checkout").environment([]).start().await.unwrap();
    for number in 0..1_000 {
        campanile.dependency(format!("d{number}")).build().await.unwrap();
    }
    let path = folder.path().join("late.db");
    let late = campanile.dependency("late").settings(|settings| {
        let letters = serde_json::json!({ "store": { "kind": "sqlite", "path": path } });
        settings.letters = Some(serde_json::from_value(letters).unwrap());
    });
    let error = late.build().await.unwrap_err().to_string();
    assert!(error.contains("names must not be made from requests"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_reset_ends_checks_so_that_the_next_dependency_has_its_own() {
    let campanile = campanile::Campanile::builder("checkout").environment([]).start().await.unwrap();
    for _ in 0..3 {
        let every = campanile::Every::seconds(30);
        let check = || async { Ok::<_, std::io::Error>(()) };
        campanile.dependency("payments").check(every, check).build().await.unwrap();
        campanile.reset();
    }
    // Tests of one process share one subscriber, which is a fault too.
    let faults = campanile.faults();
    assert!(!faults.iter().any(|fault| fault.part().contains("payments")), "{faults:?}");
}

#[test]
fn an_address_of_ipv6_is_no_list() {
    let config =
        Config::loader("checkout").environment([]).arguments(["metrics.listen=[::1]:9464"]).load().unwrap();
    assert!(config.show(false).contains("listen = \"[::1]:9464\""), "{}", config.show(false));
}
