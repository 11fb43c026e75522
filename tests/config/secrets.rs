//! Secrets are read and never shown.

use campanile::hub::config::{Config, ConfigLoader};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::Folder;

/// Places of secrets: what stands before and after the secret, in TOML, and whether `{ env = … }` may stand there instead.
const PLACES: [(&str, &str, bool); 11] = [
    ("telemetry.otlp_settings.headers.authorization = \"", "\"", true),
    ("telemetry.otlp_settings.headers.x-tenant = \"", "\"", true),
    ("telemetry.otlp_settings.endpoint = \"http://ann:", "@collector:4318\"", false),
    ("telemetry.redaction.key = \"", "\"", true),
    ("telemetry.attributes.api_token = \"", "\"", true),
    ("dependency.a.letters.store = { kind = \"redis\", url = \"redis://u:", "@cache/\" }", false),
    ("database.orders.address = \"postgres://app:", "@db/orders\"", false),
    ("endpoint.search.headers.x-whatever = \"", "\"", true),
    ("endpoint.search.address = \"http://bob:", "@search/\"", false),
    ("telemetry.service_name = \"", "\"", false),
    ("server.api.component = \"", "\"", false),
];

/// The places whose secrets only a reference marks as such.
const UNMARKED: usize = 2;

fn loader(folder: &Folder, variables: &[(String, String)]) -> ConfigLoader {
    folder.loader().environment(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// All that a configuration shows of itself.
fn shown(config: &Config) -> String {
    let settings = config.settings();
    format!(
        "{}{}{config:?}{settings:?}{:?}{:?}",
        config.show(false),
        config.show(true),
        config.warnings(),
        config.reload()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(19), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_planted_secret_is_shown(
        secrets in prop::array::uniform11("[a-zA-Z0-9]{20,30}"),
        planted in prop::array::uniform11(0..4_u8),
        wrong: bool,
    ) {
        let folder = Folder::toml("");
        let (mut lines, mut variables, mut planted_secrets) = (String::new(), Vec::new(), Vec::new());
        for (at, (before, after, referable)) in PLACES.into_iter().enumerate() {
            let unmarked = at >= PLACES.len() - UNMARKED;
            let key = before.split(" = ").next().unwrap();
            let secret = &secrets[at];
            match planted[at] {
                1 if !unmarked => lines.push_str(&format!("{before}{secret}{after}\n")),
                2 if referable || unmarked => {
                    lines.push_str(&format!("{key} = {{ env = \"SECRET_{at}\" }}\n"));
                    variables.push((format!("SECRET_{at}"), secret.clone()));
                }
                3 if referable || unmarked => {
                    let path = folder.path().with_file_name(format!("secret_{at}"));
                    std::fs::write(&path, format!("{secret}\n")).unwrap();
                    lines.push_str(&format!("{key} = {{ file = '{}' }}\n", path.display()));
                }
                _ => continue,
            }
            planted_secrets.push(secret.clone());
        }
        if lines.contains("endpoint.search") && !lines.contains("endpoint.search.address") {
            lines.push_str("endpoint.search.address = \"http://search/\"\n");
        }
        if wrong {
            // The same secrets where nothing of the kind is allowed.
            for (at, secret) in secrets.iter().enumerate() {
                lines.push_str(&format!("dependency.d{at}.retry.max_attempts = {{ env = \"WRONG_{at}\" }}\n"));
                lines.push_str(&format!("dependency.e{at}.retry.deadline = {{ env = \"WRONG_{at}\" }}\n"));
                lines.push_str(&format!("dependency.f{at}.check.headers = \"{secret}\"\n"));
                variables.push((format!("WRONG_{at}"), secret.clone()));
                planted_secrets.push(secret.clone());
            }
        }
        folder.write(&lines);
        let text = match loader(&folder, &variables).load() {
            Ok(config) => shown(&config),
            Err(errors) => {
                prop_assert!(wrong, "{errors}\n{lines}");
                format!("{errors} {errors:?}")
            }
        };
        for secret in planted_secrets {
            prop_assert!(!text.contains(&secret), "{secret} is shown:\n{lines}\n{text}");
        }
    }
}

#[test]
fn secrets_reach_the_settings() {
    let folder = Folder::toml("");
    let secret = folder.path().with_file_name("token");
    std::fs::write(&secret, "Bearer abc\n").expect("written");
    folder.write(format!(
        "[telemetry.otlp_settings.headers]\nauthorization = {{ file = '{}' }}\nx-key = {{ env = \"KEY\" }}\n",
        secret.display()
    ));
    let config = folder
        .loader()
        .environment([
            ("KEY", "k-1"),
            ("CAMPANILE__DATABASE__ORDERS__ADDRESS__ENV", "URL"),
            ("URL", "postgres://app:pw@db/orders"),
        ])
        .load()
        .expect("valid");
    let settings = config.settings();
    let headers = &settings.telemetry.otlp_settings.headers;
    assert_eq!((headers["authorization"].as_str(), headers["x-key"].as_str()), ("Bearer abc", "k-1"));
    assert_eq!(settings.database["orders"].address.as_deref(), Some("postgres://app:pw@db/orders"));
}

#[test]
fn a_reference_that_leads_nowhere_is_a_fault() {
    let folder = Folder::toml("");
    let said = |text: &str| {
        folder.write(format!("[telemetry.otlp_settings.headers]\nauthorization = {text}\n"));
        let loader = folder.loader().environment([("EMPTY", " ")]);
        folder.faults(&loader.load().expect_err(text)).join("\n")
    };
    let at = "campanile.toml:2: `telemetry.otlp_settings.headers.authorization`";
    assert_eq!(said("{ env = \"MISSING\" }"), format!("{at} needs the variable MISSING, which is not set"));
    assert_eq!(
        said("{ env = \"EMPTY\" }"),
        format!(
            "{at} needs the variable EMPTY, which is empty; unset the variable, or write \"\" with its quotes for an empty text"
        )
    );
    assert_eq!(
        said("{ env = \"A\", file = \"b\" }"),
        format!("{at} has both `file` and `env`; one of them is allowed")
    );
    assert_eq!(said("{ file = 5 }"), format!("{at} has a `file` that is not a text"));
    assert!(
        said("{ file = \"/does/not/exist\" }")
            .starts_with(&format!("{at} needs the file /does/not/exist, which cannot be read: "))
    );
    assert_eq!(
        said("{ file = \"/\" }"),
        format!("{at} needs the file /, which cannot be read: it is not a regular file")
    );
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::toml("[telemetry.otlp_settings.headers]\nauthorization = \"Bearer abc\"\n");
    let warnings = |mode: u32| {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode))
            .expect("the mode is set");
        folder.loader().load().expect("valid").warnings()
    };
    assert_eq!(warnings(0o640), [""; 0]);
    let said = warnings(0o644).join("\n").replace(&folder.path().display().to_string(), "file");
    assert_eq!(
        said,
        "file:2: `telemetry.otlp_settings.headers.authorization` is a secret, and others can read the file (mode 644); change \
         the mode to 600, or write { file = \"…\" } or { env = \"…\" } instead of the secret"
    );
}
