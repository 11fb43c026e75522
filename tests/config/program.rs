//! `campanile config`.

use std::process::{Command, Output};

use crate::Folder;

fn campanile(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CAMPANILE_", "METRICS_", "ALERT_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command.arg("config").args(arguments).envs(variables.iter().copied()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn check_reports_every_fault_and_the_exit_code() {
    let folder = Folder::toml("[health]\nletters = 0\nround = \"1h\"\n");
    let path = folder.path().display().to_string();
    let output = campanile(&["check", &path], &[("CAMPANILE_CONFIG", "/does/not/exist.toml")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr).replace(&path, "file"),
        "file:2: `health.letters` cannot be 0; allowed: at least 1\nfile:3: `health.round` cannot be 3600s; allowed: from 1 s to \
         1 min\ncampanile: the settings have 2 faults\n"
    );
    let output = campanile(
        &["check", &path, "--set", "health.letters=1", "--set", "health.round=5s"],
        &[("ALERT_RETENTION_HOURS", "5")],
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        "warning: variable ALERT_RETENTION_HOURS has no effect: this version has no `alerts` yet\n"
    );
    assert_eq!(text(&output.stdout), "The settings are valid.\n");
}

#[test]
fn show_prints_what_is_in_force_without_secrets() {
    let output = campanile(
        &[
            "show",
            "--origin",
            "--preset",
            "production",
            "--set",
            "dependency.payments.breaker.failure_rate=0.2",
            "--set",
            "dependency.payments.letters=true",
        ],
        &[
            ("CAMPANILE__TELEMETRY__OTLP_SETTINGS__HEADERS__AUTHORIZATION", "Bearer hunter2"),
            ("CAMPANILE_PRESET", "development"),
        ],
    );
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!shown.contains("hunter2"), "{shown}");
    for line in [
        "console = \"json\" # preset production",
        "failure_rate = 0.2 # argument dependency.payments.breaker.failure_rate",
        "[dependency.payments.letters] # argument dependency.payments.letters",
        "authorization = \"[redacted]\" # variable CAMPANILE__TELEMETRY__OTLP_SETTINGS__HEADERS__AUTHORIZATION",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn template_prints_a_file_that_is_valid() {
    let template = campanile(&["template", "--full"], &[]);
    let folder = Folder::toml(&text(&template.stdout));
    let output = campanile(&["check", &folder.path().display().to_string()], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
