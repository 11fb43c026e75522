//! A module imports only from floors below its own, never from a neighbour.

#[path = "support/source.rs"]
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use source::Token;

/// The house from the ground up: each row may use the rows above it in this table.
const FLOORS: &[&[&str]] = &[
    // Floor 0, the vocabulary: what imports nothing, and what is made of that.
    &["clock", "cut", "duration", "guide", "macros", "moment", "panics", "sync"],
    &["error"],
    &["backoff", "outcome", "per_thread", "redact", "registry", "sketch", "tls", "unique", "window"],
    &["attempts", "replay"],
    // Floor 1.
    &["signal"],
    // Floor 2, one mechanism each.
    &["breaker", "retry", "sampler", "store", "timing"],
    // Floor 3.
    &["dead_letter", "telemetry"],
    // Floor 4.
    &["health"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn modules_import_from_floors_below() {
    let exports = exports(&source::read("src/lib.rs"));
    let mut faults = Vec::new();
    for file in source::rust_files("src") {
        let place = Place::of(&file);
        let Some(module) = place.path.first() else { continue };
        if module == "bin" {
            continue;
        }
        let Some(own) = floor(module) else {
            faults.push(format!(
                "src/{}: `{module}` is on no floor; add it to FLOORS in tests/floors.rs",
                file.display()
            ));
            continue;
        };
        for import in place.imports(&source::read(Path::new("src").join(&file))) {
            let at = format!("src/{}:{}", file.display(), import.line);
            let target = exports.get(&import.name).unwrap_or(&import.name);
            match floor(target) {
                _ if target == module => {}
                None => faults.push(format!("{at}: `crate::{}` is on no floor", import.name)),
                Some(other) if other >= own => faults.push(format!(
                    "{at}: `{module}` may not import `{target}`, which is {}",
                    if other == own { "its neighbour" } else { "above it" }
                )),
                Some(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_floor_is_inhabited() {
    let modules: BTreeSet<_> = source::rust_files("src")
        .iter()
        .filter_map(|file| Place::of(file).path.into_iter().next())
        .filter(|module| module != "bin")
        .collect();
    let known: BTreeSet<_> =
        FLOORS.iter().flat_map(|modules| modules.iter().map(|&module| module.to_owned())).collect();
    assert_eq!(known, modules, "FLOORS in tests/floors.rs is not what is in src");
}

#[test]
fn the_program_uses_the_public_api_only() {
    let files = source::rust_files("src/bin/campanile");
    let own: BTreeSet<_> = files.iter().filter_map(|file| Place::of(file).path.into_iter().next()).collect();
    let mut faults = Vec::new();
    for file in &files {
        let text = source::read(Path::new("src/bin/campanile").join(file));
        for import in Place::of(file).imports(&text) {
            if !own.contains(&import.name) {
                faults.push(format!(
                    "src/bin/campanile/{}:{}: `crate::{}` is no module of the program; use `campanile::`",
                    file.display(),
                    import.line,
                    import.name
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_file_is_in_two_places() {
    for file in source::rust_files("src") {
        let tokens = source::tokens(&source::read(Path::new("src").join(&file)));
        for three in tokens.windows(3) {
            let [(_, before), (line, first), (_, second)] = three else { unreachable!("windows of three") };
            // In an attribute, be it one that a condition gives.
            let attribute = [Token::Sign('['), Token::Sign(',')].contains(before);
            let path = attribute && first.is_word("path") && *second == Token::Sign('=');
            let include = first.is_word("include") && *second == Token::Sign('!');
            assert!(!path && !include, "src/{}:{line}: a module is the file of its name", file.display());
        }
    }
}

/// What the crate's root exports, by the module that it comes from.
fn exports(root: &str) -> BTreeMap<String, String> {
    let tokens: Vec<_> = source::tokens(root).into_iter().map(|(_, token)| token).collect();
    let mut exports = BTreeMap::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.is_word("use")) {
        if let [Token::Word(module), Token::Path, rest @ ..] = &tokens[at + 1..] {
            for token in rest.iter().take_while(|token| **token != Token::Sign(';')) {
                if let Token::Word(name) = token {
                    exports.insert(name.clone(), module.clone());
                }
            }
        }
    }
    exports
}

/// Where in the tree of modules a file is.
struct Place {
    path: Vec<String>,
}

/// A name in the crate's root that a file refers to.
struct Import {
    line: usize,
    name: String,
}

impl Place {
    fn of(file: &Path) -> Self {
        let mut path: Vec<_> =
            file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if path.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
            path.pop();
        }
        Self { path }
    }

    /// All that it refers to by `crate::`, or by enough of `super::`.
    fn imports(&self, text: &str) -> Vec<Import> {
        let tokens = source::tokens(text);
        let mut imports = Vec::new();
        // The depth of braces at which each module in the file ends.
        let (mut depth, mut modules) = (0_usize, Vec::new());
        let mut at = 0;
        while let Some((line, token)) = tokens.get(at) {
            at += 1;
            match token {
                Token::Sign('{') => {
                    depth += 1;
                    if at >= 3 && tokens[at - 3].1.is_word("mod") {
                        modules.push(depth);
                    }
                }
                Token::Sign('}') => {
                    if modules.last() == Some(&depth) {
                        modules.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                // The paths in serde's attributes are strings.
                Token::Text(path) => {
                    if let Some(name) = path.strip_prefix("crate::") {
                        let name = name.split("::").next().unwrap_or(name).to_owned();
                        imports.push(Import { line: *line, name });
                    }
                }
                Token::Word(word) if word == "crate" && is_path(&tokens, at) => {
                    imports.extend(names(&tokens[at + 1..]));
                    at += 1;
                }
                Token::Word(word) if word == "super" && is_path(&tokens, at) => {
                    let mut up = 1;
                    at += 1;
                    while tokens.get(at).is_some_and(|(_, token)| token.is_word("super"))
                        && is_path(&tokens, at + 1)
                    {
                        up += 1;
                        at += 2;
                    }
                    if up >= self.path.len() + modules.len() {
                        imports.extend(names(&tokens[at..]));
                    }
                }
                _ => {}
            }
        }
        imports
    }
}

fn is_path(tokens: &[(usize, Token)], at: usize) -> bool {
    tokens.get(at).is_some_and(|(_, token)| *token == Token::Path)
}

/// The first name of a path, or of each path in a group.
fn names(tokens: &[(usize, Token)]) -> Vec<Import> {
    let mut names = Vec::new();
    let (mut depth, mut starts) = (0_usize, true);
    for (line, token) in tokens {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth = depth.saturating_sub(1),
            Token::Sign(',') if depth == 1 => starts = true,
            Token::Word(name) if starts => {
                names.push(Import { line: *line, name: name.clone() });
                starts = false;
            }
            Token::Sign('*') if starts => {
                names.push(Import { line: *line, name: "*".to_owned() });
                starts = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

#[test]
fn imports_are_found_however_they_are_written() {
    let found = |file: &str, text: &str| -> Vec<String> {
        Place::of(Path::new(file)).imports(text).into_iter().map(|import| import.name).collect()
    };
    assert_eq!(found("breaker/handle.rs", "use crate::retry::{Retry, timing::Timing};"), ["retry"]);
    assert_eq!(
        found("breaker/handle.rs", "use crate::{\n retry::{a, b},\n timing, Backoff};"),
        ["retry", "timing", "Backoff"]
    );
    assert_eq!(found("breaker/handle.rs", "use super::super::retry; use super::state;"), ["retry"]);
    assert_eq!(
        found("breaker/mod.rs", "use super::{retry, clock}; mod a { use super::b; }"),
        ["retry", "clock"]
    );
    assert_eq!(found("window.rs", "mod tests { use super::*; } use super::clock;"), ["clock"]);
    assert_eq!(found("window.rs", "#[serde(with = \"crate::duration::opt\")] x: u8"), ["duration"]);
    assert_eq!(
        found(
            "window.rs",
            "// crate::retry\n/// [`crate::retry`]\nlet c = '\"'; let d = '\\''; crate::timing::f()"
        ),
        ["timing"]
    );
    assert_eq!(found("window.rs", "r#\"crate \" crate::a\"#; b\"\\\"crate::b\"; x::<'a>(crate::c)"), ["c"]);
}
