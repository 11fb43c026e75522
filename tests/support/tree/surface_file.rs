//! The list of public items as a file: a head with its figures and budgets, then the items of each room.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::surface::Surface;

const HEAD: &str = "\
# Every public item of the crate with all features, one a line: its shortest path, its kind and its shape.
# `CAMPANILE_WRITE_SURFACE=1 cargo test --test surface` writes it anew and keeps the budgets, which people set.
# Items are modules, types, traits, functions, methods, constants, macros and exports from other crates. Fields and
# variants count apart. Items with `#[doc(hidden)]` count apart and are not listed. An item stands under the room in
# which its type is declared.
";

/// By room, how many items it may have.
pub type Budgets = BTreeMap<String, usize>;

/// The budgets that the head of a file sets.
pub fn budgets(text: &str) -> Budgets {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# budget ")?.split_once(' '));
    lines.map(|(room, count)| (room.to_owned(), count.parse().expect("the number of a budget"))).collect()
}

/// The file, with these budgets; a room without one gets what it has.
pub fn render(surface: &Surface, budgets: &Budgets) -> String {
    let counts = counts(surface);
    let items: usize = counts.values().sum();
    let apart = surface.lines().filter(|line| !line.is_item()).count();
    let mut text = HEAD.to_owned();
    let out = &mut text;
    let written =
        writeln!(out, "#\n# items {items}\n# fields and variants {apart}\n# hidden {}\n#", surface.hidden);
    written.expect("a string takes everything");
    for (room, count) in &counts {
        let budget = budgets.get(room).unwrap_or(count);
        writeln!(out, "# budget {room} {budget}").expect("a string takes everything");
    }
    for (room, lines) in &surface.rooms {
        writeln!(out, "\n# {room}").expect("a string takes everything");
        for line in lines {
            writeln!(out, "{}", line.text()).expect("a string takes everything");
        }
    }
    text
}

/// How many items each room has.
pub fn counts(surface: &Surface) -> Budgets {
    let items = |(room, lines): (&String, &BTreeSet<super::surface::Line>)| {
        (room.clone(), lines.iter().filter(|line| line.is_item()).count())
    };
    surface.rooms.iter().map(items).collect()
}

/// The lines that only one of the texts has.
pub fn difference(old: &str, new: &str) -> Vec<String> {
    let lines = |text: &str| -> BTreeMap<String, usize> {
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        lines
    };
    let (old, new) = (lines(old), lines(new));
    let all: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut told = Vec::new();
    for line in all {
        match (old.get(line), new.get(line)) {
            (one, other) if one == other => {}
            (one, other) if one > other => told.push(format!("- {line}")),
            _ => told.push(format!("+ {line}")),
        }
    }
    told
}
