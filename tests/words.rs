//! Code, documents and messages are in plain English: words that readers stumbled over do not come back.

#[path = "support/source.rs"]
mod source;

use std::path::{Path, PathBuf};

/// Words and phrases that this project does not use, in lower case.
const WORDS: &[&str] = &[
    "are owed",
    "as it were",
    "heed",
    "heeded",
    "heeding",
    "heeds",
    "is owed",
    "nobody",
    "owes",
    "put in force",
    "puts in force",
    "so many",
    "somebody",
    "spare",
    "spared",
    "spares",
    "sparing",
    "the affair of",
    "vouch",
    "vouched",
    "vouches",
    "whence",
    "wherefore",
    "whoever",
    "whomever",
];

/// Names of types that tell nothing. The field has words for all of them.
const NAMES: &[&str] = &[
    "Above", "Anchor", "Board", "Course", "Drive", "Errand", "Examine", "Hour", "Kept", "Lanes", "Lent",
    "Look", "Looks", "Lot", "Meant", "Moment", "Patience", "Roll", "Rude", "Said", "Say", "Seat", "Spare",
    "Standing", "Survey", "Tells", "Telling", "Told", "Witness",
];

#[test]
fn words_are_plain() {
    let mut faults = Vec::new();
    for file in files() {
        for (number, line) in source::read(&file).lines().enumerate() {
            let line = words(line);
            for word in WORDS.iter().filter(|word| line.contains(&format!(" {word} "))) {
                faults.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{} words to say otherwise:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn types_have_names_of_the_field() {
    let mut faults = Vec::new();
    for file in source::rust_files("src") {
        for pair in source::tokens(&source::read(Path::new("src").join(&file))).windows(2) {
            let [(line, kind), (_, source::Token::Word(name))] = pair else { continue };
            let declares = ["struct", "enum", "trait", "type", "union"].iter().any(|word| kind.is_word(word));
            if declares && NAMES.contains(&name.as_str()) {
                faults.push(format!("src/{}:{line}: {name}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{} types to name otherwise:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn words_are_found_in_text_and_in_names() {
    assert_eq!(words("/// Nobody's file; `so_many` x"), " nobody s file so many x ");
    assert_eq!(words("fn a_file_that_nobodyReads() {}"), " fn a file that nobody reads ");
    assert_eq!(words("HTTPWhence2"), " httpwhence ");
}

/// The words of a line in lower case, with a space before and after each. Names are taken apart.
fn words(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for letter in line.chars() {
        let starts = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
        let ends = !letter.is_ascii_alphabetic() && !words.ends_with(' ');
        if (starts || ends) && !words.ends_with(' ') {
            words.push(' ');
        }
        if letter.is_ascii_alphabetic() {
            words.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

/// Everything that people read, but for this file.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["src", "tests", "benches", "examples", "docs", ".ci"].iter().map(PathBuf::from).collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(source::root().join(&folder)).expect("a folder of the package") {
            let entry = entry.expect("an entry of a folder");
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().expect("the kind of an entry");
            // Text files hold what strangers write: the corpora of the tests.
            let corpus = path.extension().is_some_and(|extension| extension == "txt");
            if kind.is_dir() {
                open.push(path);
            } else if !corpus && path != Path::new("tests/words.rs") {
                found.push(path);
            }
        }
    }
    found.extend(
        ["CHANGELOG.md", "CONTRIBUTING.md", "Cargo.toml", "README.md", "SECURITY.md"].map(PathBuf::from),
    );
    found.retain(|path| std::fs::read_to_string(source::root().join(path)).is_ok());
    found.sort();
    assert!(found.len() > 500, "{} files", found.len());
    found
}
