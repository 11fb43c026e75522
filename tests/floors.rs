//! A room of the crate uses the floors below its own, never a neighbour, and nothing in it goes round in circles.
//!
//! `CAMPANILE_ROOM=store` narrows what the tests of floors and circles tell to the paths in `src` that start with it.

#[path = "support/source.rs"]
mod source;
#[path = "support/tree/mod.rs"]
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use source::Token;
use tree::house::{FLOORS, Floors, House, Report, place};
use tree::modules::Crate;
use tree::uses::Uses;

/// Reading the whole source takes seconds.
static HOUSE: LazyLock<House> = LazyLock::new(|| House::read(source::root()));

/// More than that, and a reader does not take in the house at a glance.
const MAX_ENTRIES: usize = 14;

#[test]
fn rooms_use_floors_below() {
    let room = room();
    let faults: Vec<_> = HOUSE
        .floor_faults(FLOORS)
        .into_iter()
        .filter(|fault| fault.trim_start_matches("src/").starts_with(&room))
        .collect();
    assert!(faults.is_empty(), "\n{}\n{} faults", faults.join("\n"), faults.len());
}

#[test]
fn files_use_each_other_in_no_circle() {
    assert_none(&HOUSE.circles_of_files(&room()));
}

#[test]
fn neighbours_use_each_other_in_no_circle() {
    assert_none(&HOUSE.circles_of_neighbours(&room()));
}

fn assert_none(report: &Report) {
    assert!(report.count == 0, "\n{}{} circles", report.text, report.count);
}

/// The room to report on; without one, all of them.
fn room() -> String {
    std::env::var("CAMPANILE_ROOM").unwrap_or_default()
}

#[test]
fn every_path_leads_somewhere() {
    let faults = &HOUSE.uses.faults;
    assert!(faults.is_empty(), "the tests of floors and circles are blind here:\n{}", faults.join("\n"));
}

#[test]
fn every_room_is_on_a_floor() {
    let rooms = FLOORS.iter().flat_map(|rooms| rooms.iter());
    for room in rooms {
        let path = source::root().join("src").join(room);
        let there = path.is_dir() || path.with_extension("rs").is_file();
        assert!(there, "`{room}` is in FLOORS in tests/support/tree/house.rs, and not in src");
    }
    let files = source::rust_files("src");
    let files = files.iter().map(|file| file.to_string_lossy().replace('\\', "/"));
    let front = |file: &str| {
        let folder = file.strip_suffix("mod.rs");
        folder.is_some_and(|folder| {
            FLOORS.iter().flat_map(|rooms| rooms.iter()).any(|room| room.starts_with(folder))
        })
    };
    let lost: Vec<_> = files
        .filter(|file| file != "lib.rs" && !file.starts_with("bin/"))
        .filter(|file| place(FLOORS, file).is_none() && !front(file))
        .collect();
    assert!(lost.is_empty(), "on no floor; add them to FLOORS in tests/support/tree/house.rs: {lost:?}");
}

#[test]
fn the_house_is_seen_at_a_glance() {
    let entries = fs::read_dir(source::root().join("src")).expect("the folder of the source");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry of a folder").file_name()).collect();
    names.sort();
    assert!(
        names.len() <= MAX_ENTRIES,
        "src has {} entries; {MAX_ENTRIES} are the limit: {names:?}",
        names.len()
    );
}

/// A path from `crate`, `super` or `self` that is not in the program would be into the files of the library.
#[test]
fn the_program_uses_the_public_api_only() {
    let program = Crate::read(&source::root().join("src/bin/campanile"), "main.rs");
    assert!(program.modules.len() > 1, "the program is read");
    let faults = Uses::read(&program).faults;
    assert!(faults.is_empty(), "use `campanile::`:\n{}", faults.join("\n"));
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

/// What each file of a small crate uses of the others.
fn uses_in(files: &[(&str, &str)]) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let found = Uses::read(&Crate::read(folder.path(), "lib.rs"));
    let mut uses = BTreeMap::<_, BTreeSet<_>>::new();
    for (from, to) in found.of.into_keys() {
        uses.entry(from).or_default().insert(to);
    }
    (uses, found.faults)
}

#[test]
fn uses_are_found_however_they_are_written() {
    const LIB: &str = "#[macro_use] mod base; mod a; mod b; mod user;";
    let of_user = |text: &str| {
        let (mut uses, faults) = uses_in(&[
            ("lib.rs", LIB),
            ("base.rs", "#[macro_use] mod macros;"),
            ("base/macros.rs", "macro_rules! made { ($name:ident) => { pub(crate) struct $name; }; }"),
            (
                "a/mod.rs",
                "mod deep; pub(crate) use deep::{Deep, deep as renamed}; pub(crate) mod all { pub(crate) use super::deep::*; } pub(crate) struct Own;",
            ),
            ("a/deep.rs", "pub(crate) struct Deep; pub(crate) fn deep() {} pub(crate) enum Kind { One }"),
            ("b.rs", "made!(Made); pub(crate) fn f() {} pub(crate) fn serialize() {}"),
            ("user.rs", text),
        ]);
        assert!(faults.is_empty(), "{text}: {faults:?}");
        uses.remove("user.rs").unwrap_or_default().into_iter().collect::<Vec<_>>()
    };
    for (text, wanted) in [
        ("use crate::a::Deep;", &["a/deep.rs"][..]),
        ("use crate::{a::{self, Own}, b};", &["a/mod.rs"]),
        ("use super::b; fn g() { b::f() }", &["b.rs"]),
        ("use super::a as other; fn g() { other::renamed() }", &["a/deep.rs"]),
        ("fn g() -> crate::a::Own { super::b::f(); todo!() }", &["a/mod.rs", "b.rs"]),
        ("use crate::b::Made;", &["b.rs"]),
        ("made!(Mine);", &["base/macros.rs"]),
        ("use super::a::all::*; fn g(_: Deep) {}", &["a/deep.rs"]),
        ("use super::a::all::Kind::*;", &["a/deep.rs"]),
        ("fn g() { println!(\"{}\", crate::b::f()) }", &["b.rs"]),
        ("use super::a::Deep; fn g(x: X) { matches!(x.b, super::b::Made) }", &["a/deep.rs", "b.rs"]),
        ("struct S { #[serde(with = \"crate::b\")] x: u8 }", &["b.rs"]),
        ("mod inner { use super::super::b::f; }", &["b.rs"]),
        ("fn g() { use super::b::f as h; h() }", &["b.rs"]),
        ("// crate::b::f\n/// [`crate::b::f`]\nfn g() { let _ = \"crate::b::f\"; }", &[]),
        ("#[cfg(test)] use crate::b::f; #[cfg(all(test, unix))] mod tests { use crate::b::f; }", &[]),
        ("#[cfg(not(test))] use crate::b::f;", &["b.rs"]),
        ("use std::fmt; use serde::b; fn g<T: fmt::Debug>() { T::f(); std::mem::take(x) }", &[]),
    ] {
        assert_eq!(of_user(text), wanted, "{text}");
    }
    let (_, faults) =
        uses_in(&[("lib.rs", "mod a;"), ("a.rs", "\nuse super::nothing::here; fn f() { crate::a::g() }")]);
    assert_eq!(
        faults,
        ["src/a.rs:2: `crate::a::g` leads nowhere", "src/a.rs:2: `super::nothing` leads nowhere"]
    );
}

#[test]
fn a_room_is_the_longest_entry_that_fits() {
    const SOME: Floors<'static> = &[&["base", "layers/replay"], &["layers"]];
    for (file, wanted) in [
        ("base/clock.rs", Some((0, "base"))),
        ("base.rs", Some((0, "base"))),
        ("layers/replay/mod.rs", Some((0, "layers/replay"))),
        ("layers/retry/mod.rs", Some((1, "layers"))),
        ("layers/mod.rs", Some((1, "layers"))),
        ("basement.rs", None),
    ] {
        assert_eq!(place(SOME, file), wanted, "{file}");
    }
}

#[test]
fn circles_are_found_among_files_and_among_neighbours() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod x; pub(crate) mod y; pub(crate) struct Own;"),
        ("a/x.rs", "use crate::b::B; use super::Own;"),
        ("a/y.rs", "pub(crate) struct Y;"),
        ("b.rs", "pub(crate) struct B(crate::a::y::Y);"),
        ("c.rs", "pub(crate) struct C(crate::b::B);"),
    ] {
        let path = folder.path().join("src").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let house = House::read(folder.path());
    assert_eq!(house.circles_of_files("").count, 0);
    let found = house.circles_of_neighbours("");
    let wanted = "A circle of 2 neighbours in src/: a, b\n    src/a/x.rs:1 → src/b.rs (crate::b::B)\n    src/b.rs:1 → src/a/y.rs (crate::a::y::Y)\n";
    assert_eq!((found.count, &*found.text), (1, wanted));
    assert_eq!(house.circles_of_neighbours("c").count, 0);
}
