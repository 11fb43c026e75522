//! Variables and arguments.

use std::time::Duration;

use campanile::hub::config::Config;
use campanile::telemetry::Console;

use crate::Folder;

fn said(variables: &[(&str, &str)]) -> Vec<String> {
    match Config::loader("checkout").environment(variables.iter().copied()).load() {
        Ok(config) => config.warnings(),
        Err(errors) => errors.faults().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_variable_is_whatever_the_setting_takes() {
    let config = Config::loader("checkout")
        .environment([
            ("CAMPANILE__TELEMETRY__SERVICE_NAME", "123"),
            ("CAMPANILE__HEALTH__ERROR_SHARE", "1"),
            ("CAMPANILE__HEALTH__ROUND", "20"),
            ("CAMPANILE__DEPENDENCY__PAYMENTS__BREAKER__WINDOW__TIME", "30s"),
            ("CAMPANILE__DEPENDENCY__PAYMENTS__RETRY__BUDGET", "false"),
            ("CAMPANILE__DEPENDENCY__PAYMENTS__LETTERS", "true"),
            ("CAMPANILE__SERVER__API__ACCESS_LOG", "true"),
            ("CAMPANILE__LOGGING__CONSOLE", "json"),
            ("CAMPANILE__METRICS__LISTEN", "[::1]:9464"),
            ("CAMPANILE__SERVER__API__COMPONENT", "7"),
            ("OTHER", ""),
        ])
        .load()
        .expect("valid");
    let settings = config.settings();
    assert_eq!(settings.telemetry.service_name, "123");
    assert_eq!((settings.health.error_share, settings.health.round), (1.0, Duration::from_secs(20)));
    let payments = &settings.dependency["payments"];
    assert_eq!(
        payments.breaker.as_ref().expect("a breaker").window,
        campanile::Window::time(Duration::from_secs(30))
    );
    assert_eq!(payments.retry.as_ref().expect("retries").budget, None);
    assert!(payments.letters.is_some() && settings.server["api"].access_log);
    assert_eq!(settings.logging.console, Console::Json);
    assert_eq!(settings.metrics.listen, "[::1]:9464".parse().ok());
    assert_eq!(settings.server["api"].component.as_deref(), Some("7"));
    assert!(settings.pipeline().prometheus);
}

#[test]
fn what_a_variable_cannot_say_is_said() {
    let names = "a variable cannot address names with dots, spaces or lower-case letters in it: its parts are in capital \
                 letters and separated by `__`; set it in the file or by an argument";
    for (name, value, expected) in [
        ("CAMPANILE__HEALTH__LETTERS", "", "is empty; unset the variable, or write \"\" with its quotes for an empty text".to_owned()),
        ("CAMPANILE__HEALTH____LETTERS", "5", "has an empty part; write CAMPANILE__SECTION__KEY, with two underscores between the parts".to_owned()),
        ("CAMPANILE__Health__LETTERS", "5", format!("has the part `Health`; {names}")),
        ("CAMPANILE__DEPENDENCY__API.INTERNAL__TIMING", "true", format!("has the part `API.INTERNAL`; {names}")),
        (
            "CAMPANILE__DEPENDENCY__A__RETRY__GRPC_CODES",
            "8,14",
            "`dependency.a.retry.grpc_codes` cannot be \"8,14\"; allowed: a list; a variable cannot set a list, so set it in \
             the file or by an argument".to_owned(),
        ),
        (
            "CAMPANILE__DEPENDENCY__A__RETRY__GRPC_CODES__0",
            "8",
            "`dependency.a.retry.grpc_codes` cannot be a table; allowed: a list; a variable cannot set a list, so set it in \
             the file or by an argument".to_owned(),
        ),
        ("CAMPANILE__HEALTH__LETTER", "5", "`health.letter` is unknown; did you mean `letters`?".to_owned()),
        ("CAMPANILE__HEALTH__LETTERS", "many", "`health.letters` cannot be \"many\"; allowed: a whole number, at least 0".to_owned()),
        ("CAMPANILE_PRESET", "prod", "cannot be \"prod\"; did you mean `production`?".to_owned()),
    ] {
        assert_eq!(said(&[(name, value)]), [format!("variable {name}: {expected}")]);
    }
    assert_eq!(
        said(&[
            ("CAMPANILE__DEPENDENCY__A__RETRY", "false"),
            ("CAMPANILE__DEPENDENCY__A__RETRY__MAX_ATTEMPTS", "2")
        ]),
        [
            "variable CAMPANILE__DEPENDENCY__A__RETRY__MAX_ATTEMPTS: is at odds with variable CAMPANILE__DEPENDENCY__A__RETRY: \
          one sets a value, the other a key in it"
        ]
    );
    assert_eq!(
        said(&[("CAMPANILE_HEALTH_LETTERS", "5")]),
        [
            "variable CAMPANILE_HEALTH_LETTERS has no effect: write CAMPANILE__HEALTH__LETTERS, with two underscores between \
          the parts"
        ]
    );
}

#[test]
fn a_variable_makes_no_twin_of_a_name_that_it_cannot_write() {
    for (name, part) in [("Payments", "PAYMENTS"), ("order-db", "ORDER_DB"), ("api.internal", "API_INTERNAL")]
    {
        let folder = Folder::toml(&format!("\n[dependency.\"{name}\"]\ncritical = false"));
        let variable = format!("CAMPANILE__DEPENDENCY__{part}__CRITICAL");
        let errors = folder.loader().environment([(variable.as_str(), "true")]).load().expect_err("a twin");
        let said = folder.faults(&errors);
        assert_eq!(said.len(), 1, "{said:?}");
        let expected = format!("is not `{name}` of campanile.toml:2; a variable cannot address names");
        assert!(said[0].contains(&expected), "{said:?}");
    }
    // A dash can be written where the system allows it.
    let folder = Folder::toml("[dependency.order-db]\ncritical = false");
    let config = folder.loader().environment([("CAMPANILE__DEPENDENCY__ORDER-DB__CRITICAL", "true")]).load();
    assert!(config.expect("valid").settings().dependency["order-db"].critical);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(b"\xff".to_vec());
    let errors = Config::loader("checkout")
        .environment_os([("CAMPANILE__DATA__INSTANCE".into(), value)])
        .load()
        .expect_err("not UTF-8");
    assert_eq!(errors.to_string(), "variable CAMPANILE__DATA__INSTANCE: is not valid UTF-8");
}

#[test]
fn other_spellings_are_read_between_the_file_and_our_own() {
    let folder = Folder::toml("[sampler]\nevery = \"5s\"\n[metrics]\nlisten = \"127.0.0.1:1\"\n");
    let config = folder
        .loader()
        .environment([("METRICS_COLLECTION_INTERVAL", "30.0"), ("METRICS_HTTP_PORT", "8000")])
        .load()
        .expect("valid");
    let settings = config.settings();
    assert_eq!(settings.sampler.as_ref().expect("a sampler").every, Duration::from_secs(30));
    assert_eq!(settings.metrics.listen, "127.0.0.1:8000".parse().ok());
    let config = folder
        .loader()
        .environment([("METRICS_HTTP_PORT", "8000"), ("CAMPANILE__METRICS__LISTEN", "0.0.0.0:9464")])
        .load()
        .expect("valid");
    assert_eq!(config.settings().metrics.listen, "0.0.0.0:9464".parse().ok());

    assert_eq!(
        said(&[("METRICS_HTTP_PORT", "http")]),
        ["variable METRICS_HTTP_PORT: `metrics.listen` cannot be \"http\"; allowed: a port from 0 to 65535"]
    );
    for (name, part) in [
        ("METRICS_AGGREGATION_WINDOW_SECONDS", "history"),
        ("METRICS_AGGREGATION_FUNCTIONS", "history"),
        ("METRICS_RETENTION_PERIOD_HOURS", "history"),
        ("METRICS_BUFFER_MAX_SIZE", "history"),
        ("ALERT_EVALUATION_INTERVAL", "alerts"),
        ("ALERT_RETENTION_HOURS", "alerts"),
    ] {
        assert_eq!(
            said(&[(name, "60")]),
            [format!("variable {name} has no effect: this version has no `{part}` yet")]
        );
    }
}

#[test]
fn arguments_can_address_everything() {
    let config = Config::loader("checkout")
        .environment([])
        .arguments([
            "dependency.\"api.internal\".retry.grpc_codes=[14]",
            "dependency.Payments.breaker.slow_call={ limit = \"2s\", rate = 0.5 }",
            "logging.filter=info,app=debug",
            "telemetry.attributes.\"deployment.environment.name\"=\"a = b\"",
            "health.letters=7",
            "health.letters=8",
        ])
        .load()
        .expect("valid");
    let settings = config.settings();
    assert_eq!(settings.dependency["api.internal"].retry.as_ref().expect("retries").grpc_codes, [14]);
    let breaker = settings.dependency["Payments"].breaker.as_ref().expect("a breaker");
    assert_eq!(breaker.slow_call.expect("slow calls").rate, 0.5);
    assert_eq!(settings.logging.filter, "info,app=debug");
    assert_eq!(settings.telemetry.attributes["deployment.environment.name"], "a = b");
    assert_eq!(settings.health.letters, 8);

    for (argument, expected) in [
        ("verbose", "argument verbose: has no `=`; write section.key=value"),
        ("=5", "argument : is no path of keys; write section.key=value"),
        ("a..b=5", "argument a..b: is no path of keys; write section.key=value"),
        (
            "health.letters=",
            "argument health.letters: is empty; leave it out, or write \"\" with its quotes for an empty text",
        ),
        ("health.letters=[1", "argument health.letters: cannot be parsed: unclosed array, expected `]`"),
        ("health.letters=0", "argument health.letters: `health.letters` cannot be 0; allowed: at least 1"),
    ] {
        let errors =
            Config::loader("checkout").environment([]).arguments([argument]).load().expect_err(argument);
        assert_eq!(errors.to_string(), expected);
    }
}
