//! `campanile demo`, run as a child process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg("demo").args(arguments).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command
}

/// The last line of its output, as JSON.
fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().expect("nothing was printed");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn count(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {line}"))
}

fn assert_adds_up(line: &Value) {
    assert_eq!(count(line, "sent"), count(line, "succeeded") + count(line, "parked"), "{line}");
    assert_eq!(count(line, "redriven"), count(line, "parked"), "{line}");
    assert_eq!(count(line, "lost"), 0, "{line}");
}

#[test]
fn every_order_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&["--seconds", "6", "--json", "--data-dir"]).arg(folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let line = last_line(&output);
    assert_adds_up(&line);
    for key in ["sent", "parked", "retries", "breaker_transitions", "spans"] {
        assert!(count(&line, key) > 0, "{key} in {line}");
    }
    let components = line["components"].as_array().unwrap();
    for name in ["checkout", "payments"] {
        let component = components.iter().find(|component| component["name"] == name);
        let component = component.unwrap_or_else(|| panic!("no component {name} in {line}"));
        assert!((0.0..=1.0).contains(&component["score"].as_f64().unwrap()));
        assert!(component["status"].is_string());
    }
    assert!(stderr.contains("Every order is accounted for"), "{stderr}");
    assert!(folder.path().join("letters.db").is_file());
}

/// Starts a demonstration, and reads its stderr up to its addresses.
fn start(arguments: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = demo(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("health") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it printed its addresses");
    }
    (child, stderr)
}

#[test]
fn an_interrupt_ends_it_with_a_report() {
    let (child, mut stderr) = start(&["--seconds", "3600", "--json"]);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut rest).map(|_| rest)
    });
    let output = child.wait_with_output().unwrap();
    let rest = reader.join().unwrap().unwrap();
    assert!(output.status.success(), "{rest}");
    assert!(rest.contains("Interrupted: the demonstration ended early."), "{rest}");
    assert_adds_up(&last_line(&output));
}

#[test]
fn an_error_names_a_data_dir_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let output = demo(&["--data-dir"]).arg(file.join("below")).output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("file/below") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn an_error_names_a_corrupt_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letters.db"), "no database ".repeat(1_000)).unwrap();
    let output = demo(&["--data-dir"]).arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("letters.db") && !stderr.contains("panicked"), "{stderr}");
}
