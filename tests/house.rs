//! What the package says about itself is true, and it keeps to its own rules.

#[path = "support/source.rs"]
mod source;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use campanile::signal::{Kind, METRICS};
#[cfg(feature = "telemetry")]
use campanile::telemetry::{UNREAD_VARIABLES, VARIABLES};
use source::Token;

/// Code that is longer holds more than one idea.
const MAX_LINES: usize = 400;

#[test]
fn the_documents_list_the_metrics() {
    let mut table = String::from("| Metric | Kind | Unit | Attributes | Meaning |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::UpDownCounter => "up-down counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            kind => panic!("write the word for {kind:?} here"),
        };
        let attributes: Vec<_> = metric.attributes.iter().map(|name| format!("`{name}`")).collect();
        let (name, unit, attributes) = (metric.name, metric.unit, attributes.join(" "));
        writeln!(table, "| `{name}` | {kind} | `{unit}` | {attributes} | {} |", metric.description)
            .expect("a string takes everything");
    }
    assert_in("docs/metrics.md", "metrics", &table);
}

#[cfg(feature = "telemetry")]
#[test]
fn the_documents_list_the_variables() {
    let mut table = String::from("| Variable | Decides | Default |\n|---|---|---|\n");
    for variable in VARIABLES {
        let mut names: Vec<_> = variable.names().iter().map(|name| format!("`{name}`")).collect();
        if variable.by_signal {
            // The others follow the same form.
            names.truncate(2);
            names.push("…".to_owned());
        }
        writeln!(table, "| {} | {} | {} |", names.join(" "), variable.meaning, variable.default)
            .expect("a string takes everything");
    }
    assert_in("docs/telemetry.md", "variables", &table);

    let mut table = String::from("| Variable | Why it is not read |\n|---|---|\n");
    for (name, reason) in UNREAD_VARIABLES {
        writeln!(table, "| `{name}` | {reason} |").expect("a string takes everything");
    }
    assert_in("docs/telemetry.md", "unread variables", &table);
}

#[test]
fn readme_lists_the_features() {
    let manifest = source::read("Cargo.toml");
    let (_, section) = manifest.split_once("\n[features]\n").expect("a section of features");
    let section = section.split("\n[").next().expect("the section itself");
    let default = section.lines().find_map(|line| line.strip_prefix("default = ")).expect("default features");

    let mut table = String::from("| Feature | Default | Adds |\n|---|---|---|\n");
    let mut comment = Vec::new();
    for line in section.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((name, _)) = line.split_once(" = [") {
            if name != "default" {
                assert!(!comment.is_empty(), "Cargo.toml: a comment above `{name}` says what it adds");
                let tick = if default.contains(&format!("\"{name}\"")) { "✓" } else { "" };
                writeln!(table, "| `{name}` | {tick} | {} |", comment.join(" "))
                    .expect("a string takes everything");
            }
            comment.clear();
        }
    }
    assert_in("README.md", "features", &table);
}

#[test]
fn files_hold_one_idea() {
    let mut long = Vec::new();
    for file in source::rust_files("src") {
        let tokens = source::tokens(&source::read(Path::new("src").join(&file)));
        let lines = tokens.iter().map(|(line, _)| line).collect::<BTreeSet<_>>().len();
        if lines > MAX_LINES {
            long.push(format!("src/{} has {lines} lines of code; {MAX_LINES} are the limit", file.display()));
        }
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

/// Of a folder: the reader starts in its `mod.rs`, which says where to go.
#[test]
fn the_front_of_a_folder_documents_and_lists() {
    const DECLARE: [&str; 7] = ["const", "enum", "fn", "impl", "static", "struct", "trait"];
    let mut faults = Vec::new();
    for file in source::rust_files("src").iter().filter(|file| file.ends_with("mod.rs")) {
        let is_test = |part: &std::ffi::OsStr| ["simulation", "tests"].iter().any(|name| part == *name);
        if file.starts_with("bin") || file.iter().any(is_test) {
            continue;
        }
        let text = source::read(Path::new("src").join(file));
        if !text.starts_with("//! ") && !text.starts_with("#![doc") && !text.starts_with("#![cfg_attr") {
            faults.push(format!("src/{}: it does not say where to start reading", file.display()));
        }
        for (line, token) in source::tokens(&text) {
            if DECLARE.iter().any(|word| token.is_word(word)) {
                faults
                    .push(format!("src/{}:{line}: {token:?} belongs into a file of its own", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// POSIX takes away all locks that a process has on a file when the process closes any descriptor of it: what SQLite has
/// open, only SQLite may open. A new file is made before it opens it, and its log has no locks. The reserve is no database.
#[test]
fn no_database_is_opened_but_by_sqlite() {
    const OPENS: &[(&str, &[&str])] = &[
        ("File", &["create", "create_new", "open", "options"]),
        ("OpenOptions", &["new"]),
        ("fs", &["copy", "hard_link", "read", "read_to_string", "write"]),
    ];
    let of_sqlite = |file: &&std::path::PathBuf| {
        let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        parts.iter().any(|part| ["sqlite", "sqlite.rs", "spill"].contains(&&**part))
    };
    let files = source::rust_files("src");
    let mut found = Vec::new();
    for file in files.iter().filter(of_sqlite) {
        let tokens: Vec<_> = source::tokens(&source::read(Path::new("src").join(file)));
        for (at, three) in tokens.windows(3).enumerate() {
            let [(line, Token::Word(of)), (_, Token::Path), (_, Token::Word(call))] = three else { continue };
            if OPENS.iter().any(|(name, calls)| name == of && calls.contains(&call.as_str())) {
                let rest: Vec<_> = tokens[at..].iter().take(20).map(|(_, token)| token).collect();
                if rest.contains(&&Token::Text("/proc/self/status".to_owned())) {
                    continue;
                }
                let makes = rest.iter().any(|token| token.is_word("create_new"));
                let given = |name: &str| {
                    rest.windows(3).any(|three| {
                        *three[0] == Token::Sign('(')
                            && three[1].is_word(name)
                            && *three[2] == Token::Sign(')')
                    })
                };
                if matches!(rest.get(4), Some(Token::Text(path)) if path.starts_with("/proc/")) {
                    continue;
                }
                let (log, folder) = (given("log"), given("folder"));
                found.push((file.display().to_string(), *line, makes, log, folder));
            }
        }
    }
    let is_fine = |(file, _, makes, log, folder): &&(String, usize, bool, bool, bool)| {
        (file == "store/sqlite/file.rs" && *makes)
            || (file == "store/sqlite/log.rs" && *log)
            || (file == "store/sqlite/copy.rs" && *folder)
            || file == "store/sqlite/reserve.rs"
    };
    let others: Vec<_> = found.iter().filter(|found| !is_fine(found)).collect();
    assert!(others.is_empty(), "opened past SQLite: {others:?}");
    let opened = found.iter().filter(|(file, ..)| file != "store/sqlite/reserve.rs").count();
    assert_eq!(opened, 3, "one makes the file, one opens its log, one the folder of a copy: {found:?}");
}

#[test]
fn only_signal_knows_the_names_of_metrics() {
    let mut faults = Vec::new();
    for file in source::rust_files("src").iter().filter(|file| !file.starts_with("signal")) {
        for (line, token) in source::tokens(&source::read(Path::new("src").join(file))) {
            if METRICS.iter().any(|metric| token == Token::Text(metric.name.to_owned())) {
                faults.push(format!(
                    "src/{}:{line}: {token:?} belongs into src/signal/names.rs",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What a panic carries may panic when it is dropped: `src/base/panics.rs` deals with that.
#[test]
fn only_panics_catches() {
    const WORDS: [&str; 4] = ["catch_unwind", "resume_unwind", "into_panic", "try_into_panic"];
    let mut faults = Vec::new();
    for file in source::rust_files("src").iter().filter(|file| *file != Path::new("base/panics.rs")) {
        for (line, token) in source::tokens(&source::read(Path::new("src").join(file))) {
            if WORDS.iter().any(|word| token.is_word(word)) {
                faults.push(format!("src/{}:{line}: {token:?}: use `crate::base::panics`", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn properties_have_tests_and_tests_have_properties() {
    let page = source::read("docs/properties.md");
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = page.lines().map(cells).filter(|row| row.len() == 5);
    let promised: Vec<(u32, String)> =
        rows.filter_map(|row| Some((row[1].parse().ok()?, row[3].trim_matches('`').to_owned()))).collect();
    assert!(promised.len() > 30, "{promised:?}");

    let tests = numbered_tests();
    let mut faults = Vec::new();
    for (number, test) in &promised {
        if test == "*planned*" {
            if let Some((_, early)) = tests.iter().find(|(of, _)| of == number) {
                faults.push(format!("{number} is planned, and `{early}` tests it already"));
            }
        } else if !tests.iter().any(|(_, name)| name == test) {
            faults.push(format!("{number} names `{test}`, which is no test"));
        }
    }
    for (number, name) in &tests {
        if !promised.iter().any(|(of, _)| of == number) {
            faults.push(format!("`{name}` tests a property that is not on the page"));
        }
    }
    assert!(faults.is_empty(), "docs/properties.md:\n{}", faults.join("\n"));
}

/// The tests with a number of a property in their names, by each such number.
fn numbered_tests() -> Vec<(u32, String)> {
    let mut tests = Vec::new();
    for folder in ["src", "tests"] {
        for file in source::rust_files(folder) {
            let tokens = source::tokens(&source::read(Path::new(folder).join(file)));
            for pair in tokens.windows(2) {
                if let [(_, first), (_, Token::Word(name))] = pair
                    && first.is_word("fn")
                    && name.contains('_')
                {
                    let parts = name.split('_').map_while(|part| part.strip_prefix('p')?.parse().ok());
                    tests.extend(parts.map(|number| (number, name.clone())));
                }
            }
        }
    }
    tests
}

/// `cargo deny` is a script here, which answers as the real one does.
#[cfg(target_os = "linux")]
#[test]
fn a_known_vulnerability_is_a_failure_and_a_database_out_of_reach_is_told() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    const AWAY: &str =
        "known vulnerabilities were not looked for: the database of advisories cannot be reached";

    let tools = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(tools.path().join("bin")).expect("a folder");
    let program = tools.path().join("bin/cargo-deny");
    const FETCH: &str = "[ERROR] failed to fetch advisory database: no network";
    // What it says, and what it says when it may not fetch.
    for (said, offline, status, fine, line) in [
        ("advisories ok", "", 0, true, "  advisories ok "),
        ("error[vulnerability]: a hole", "", 1, false, "failed: advisories"),
        ("error[config]: no such key", "", 1, false, "failed: advisories"),
        ("  Advisory: [ERROR] failed to fetch advisory database", "", 1, false, "failed: advisories"),
        (FETCH, "no copy", 1, true, "!!! 1 of 1 steps SKIPPED:"),
        (FETCH, "error[vulnerability]: a hole", 1, false, "failed: advisories"),
    ] {
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' --offline '*) echo '{offline}' ;; *) echo '{said}' ;; esac >&2\nexit {status}\n"
        );
        std::fs::write(&program, script).expect("a file");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("rights");
        let ran = Command::new("bash")
            .args(["tests/run", "advisories"])
            .current_dir(source::root())
            .env("CAMPANILE_TEST_TOOLS", tools.path())
            .output()
            .expect("bash");
        let told = String::from_utf8_lossy(&ran.stdout);
        let (_, closing) = told.split_once("tests/run advisories ran").expect("closing lines");
        assert_eq!(ran.status.success(), fine, "{told}");
        assert!(closing.contains(line), "{told}");
        assert_eq!(closing.contains(&format!("!!!   advisories: {AWAY}")), fine && status != 0, "{told}");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for page in documents() {
        let text = prose(&source::read(&page));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.parent().expect("the folder of a page");
            let target = if path.is_empty() { page.clone() } else { folder.join(path) };
            if !source::root().join(&target).exists() {
                faults.push(format!("{}: {link}: there is no such file", page.display()));
            } else if !heading.is_empty() && !anchors(&source::read(&target)).contains(heading) {
                faults.push(format!("{}: {link}: there is no such heading", page.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The pages that people read.
fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(source::root().join("docs")).expect("the folder of documents");
    let docs = docs.map(|entry| Path::new("docs").join(entry.expect("an entry of a folder").file_name()));
    let top = std::fs::read_dir(source::root()).expect("the root of the package");
    let top = top.map(|entry| PathBuf::from(entry.expect("an entry of a folder").file_name()));
    let mut pages: Vec<_> = docs.chain(top).filter(|path| path.extension() == Some("md".as_ref())).collect();
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let mut code = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What a link to a heading of this page may name, as GitHub makes it from the heading.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings =
        prose(page).lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    let anchor = |heading: &String| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept =
            text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.iter().map(anchor).collect()
}

/// The document holds this, between the markers of that name.
fn assert_in(document: &str, name: &str, wanted: &str) {
    let text = source::read(document);
    let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let between = text.split_once(&start).and_then(|(_, rest)| rest.split_once(&end));
    let (found, _) = between.unwrap_or_else(|| panic!("{document} has no {start} … {end}"));
    assert!(
        found.trim() == wanted.trim(),
        "{document}: between {start} and {end} belongs this:\n\n{}\n",
        wanted.trim()
    );
}
