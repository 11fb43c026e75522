//! What docs/configuration.md shows.

use std::path::Path;
use std::process::Command;

use crate::source;

/// The fenced blocks of the page: the language, and the lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            blocks.push((language, lines.by_ref().take_while(|line| *line != "```").collect()));
        }
    }
    blocks
}

/// Runs `NAME=VALUE… campanile ARGUMENT…` in `folder`, and returns what it prints.
fn run(command: &str, folder: &Path) -> String {
    let words = || command.split_whitespace();
    let variables =
        || words().take_while(|word| *word != "campanile").filter_map(|word| word.split_once('='));
    let arguments = words().skip_while(|word| *word != "campanile").skip(1);
    let mut program = Command::new(env!("CARGO_BIN_EXE_campanile"));
    for (name, _) in std::env::vars_os() {
        let ours = ["CAMPANILE_", "METRICS_", "ALERT_"];
        if ours.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            program.env_remove(name);
        }
    }
    let output =
        program.args(arguments).envs(variables()).current_dir(folder).output().expect("the program runs");
    let [shown, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    shown + &said
}

/// Whether the lines are `shown`, where `…` stands for any lines.
fn fits(shown: &[&str], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=lines.len()).any(|skip| fits(rest, &lines[skip..])),
        (Some((line, shown)), Some((other, lines))) => line == other && fits(shown, lines),
        _ => false,
    }
}

#[test]
fn the_page_shows_what_the_program_prints() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "Bearer hunter2\n").expect("written");
    let page = source::read("docs/configuration.md");
    let blocks = blocks(&page);
    // All files first: a page may show a command before the file.
    for (language, lines) in &blocks {
        if let ("toml", Some(name)) = (*language, lines[0].strip_prefix("# ")) {
            std::fs::write(folder.path().join(name), lines.join("\n")).expect("written");
        }
    }
    let mut commands = 0;
    for (_, lines) in blocks.iter().filter(|(language, _)| *language == "console") {
        for part in lines.join("\n").split("$ ").skip(1) {
            let (command, shown) = part.split_once('\n').expect("a command, and what it prints");
            let printed = run(command, folder.path());
            let (shown, lines): (Vec<_>, Vec<_>) = (shown.lines().collect(), printed.lines().collect());
            assert!(
                fits(&shown, &lines),
                "{command}\nthe page shows {shown:#?}\nthe program prints {printed}"
            );
            commands += 1;
        }
    }
    assert_eq!(commands, 5);
}
