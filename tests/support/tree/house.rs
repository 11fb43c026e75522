//! How the rooms of the house, which are folders and files of `src`, use each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use super::circles::circles;
use super::{
    built::{attributes_of, is_built},
    modules::Crate,
    uses::{Use, Uses},
};

/// The house, floor by floor, from the ground up.
pub type Floors<'a> = &'a [&'a [&'a str]];

/// The house from the ground up: each row may use the rows above it in this table. A room is named by its path in
/// `src`; of a folder whose rooms are on floors of their own, each is listed.
pub const FLOORS: Floors<'static> = &[
    // Floor 0, the vocabulary.
    &["base"],
    // Floor 1.
    &["signal"],
    // Floor 2, one mechanism each, and what several of them share.
    &["layers/attempts", "layers/guide", "layers/replay"],
    &["layers/breaker", "layers/fallback", "layers/retry", "layers/timing", "sampler", "store"],
    // Floor 3.
    &["dead_letter", "telemetry"],
    // Floor 4.
    &["health"],
    // Floor 5, what programs are made of.
    &["edge/stack"],
    &["edge/reqwest", "edge/serve", "worker"],
    // Floor 6, what joins all of it.
    &["hub/config"],
    &["hub"],
];

pub struct House {
    pub uses: Uses,
    /// Files of modules that only declare modules and pass on their names.
    passages: BTreeSet<String>,
}

impl House {
    pub fn read(package: &Path) -> Self {
        let all = Crate::read(&package.join("src"), "lib.rs");
        let mut others = BTreeSet::new();
        for module in &all.modules {
            let built = module.items.iter().filter(|item| is_built(attributes_of(item)));
            if built.into_iter().any(|item| !matches!(item, syn::Item::Use(_))) {
                others.insert(module.file.clone());
            }
        }
        let files = all.modules.iter().map(|module| module.file.clone());
        let passages = files.filter(|file| !others.contains(file)).collect();
        Self { uses: Uses::read(&all), passages }
    }

    /// What a file imports that is not below it.
    pub fn floor_faults(&self, floors: Floors<'_>) -> Vec<String> {
        let mut faults = BTreeSet::new();
        for ((from, to), by) in &self.uses.of {
            if from == "lib.rs" {
                continue;
            }
            let at = format!("src/{from}:{}", by.line);
            let Some((own, room)) = place(floors, from) else {
                // The front of a folder whose rooms are on floors of their own.
                let folder = folder_of(from);
                if self.passages.contains(from) && !folder.is_empty() && to.starts_with(&format!("{folder}/"))
                {
                    continue;
                }
                faults.insert(format!(
                    "src/{from}: it is on no floor; add it to FLOORS in tests/support/tree/house.rs"
                ));
                continue;
            };
            match place(floors, to) {
                Some((_, other)) if other == room => {}
                Some((floor, other)) if floor >= own => {
                    let is = if floor == own { "its neighbour" } else { "above it" };
                    faults
                        .insert(format!("{at}: `{room}` may not use `{other}`, which is {is}: {}", by.path));
                }
                Some(_) => {}
                None => {
                    faults.insert(format!("{at}: `{}` is in src/{to}, which is on no floor", by.path));
                }
            }
        }
        faults.into_iter().collect()
    }

    /// Files that use each other in a circle.
    pub fn circles_of_files(&self, room: &str) -> Report {
        let edges = self.uses.of.iter().map(|((from, to), by)| {
            ((from.clone(), to.clone()), format!("src/{from}:{} → src/{to} ({})", by.line, by.path))
        });
        let mut report = Report::default();
        report.add("files", &edges.collect(), |file| file.starts_with(room));
        report
    }

    /// Neighbours in one folder that use each other in a circle, a folder in it taken as one.
    pub fn circles_of_neighbours(&self, room: &str) -> Report {
        let mut folders: BTreeMap<String, BTreeMap<(String, String), String>> = BTreeMap::new();
        for ((from, to), by) in &self.uses.of {
            let (first, second) = (self.steps(from), self.steps(to));
            let common = first.iter().zip(&second).take_while(|(one, other)| one == other).count();
            let (Some(one), Some(other)) = (first.get(common), second.get(common)) else { continue };
            let edges = folders.entry(first[..common].join("/")).or_default();
            let Use { line, path } = by;
            let told = format!("src/{from}:{line} → src/{to} ({path})");
            edges.entry((one.clone(), other.clone())).or_insert(told);
        }
        let mut report = Report::default();
        for (folder, edges) in &folders {
            let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let what = format!("neighbours in src/{folder}");
            report.add(&what, edges, |member| format!("{start}{member}").starts_with(room));
        }
        report
    }

    /// The folders on the way to a file, then the file itself; `a.rs` beside a folder `a` is in it.
    fn steps(&self, file: &str) -> Vec<String> {
        let bare = file.trim_end_matches(".rs");
        let has_folder = || {
            let inside = format!("{bare}/");
            self.uses.of.keys().any(|(from, to)| from.starts_with(&inside) || to.starts_with(&inside))
        };
        let mut steps: Vec<_> = bare.split('/').map(str::to_owned).collect();
        match steps.last_mut() {
            Some(last) if last == "mod" || last == "lib" => last.push_str(".rs"),
            _ if has_folder() => steps.push("mod.rs".to_owned()),
            _ => {}
        }
        steps
    }
}

/// The folder that a file is the front of, or the file without its ending.
fn folder_of(file: &str) -> &str {
    let bare = file.trim_end_matches(".rs");
    bare.strip_suffix("/mod").unwrap_or(bare)
}

/// The floor and the room of a file: the longest entry that fits.
pub fn place<'a>(floors: Floors<'a>, file: &str) -> Option<(usize, &'a str)> {
    let path = folder_of(file);
    let rooms =
        floors.iter().enumerate().flat_map(|(floor, rooms)| rooms.iter().map(move |room| (floor, *room)));
    rooms
        .filter(|(_, room)| path == *room || path.starts_with(&format!("{room}/")))
        .max_by_key(|(_, room)| room.len())
}

/// Circles, told so that a person can mend them.
#[derive(Default)]
pub struct Report {
    pub count: usize,
    /// How many are in each circle.
    pub sizes: Vec<(String, usize)>,
    pub text: String,
}

impl Report {
    fn add(
        &mut self,
        what: &str,
        edges: &BTreeMap<(String, String), String>,
        concerns: impl Fn(&str) -> bool,
    ) {
        for members in circles(&edges.keys().cloned().collect()) {
            if !members.iter().any(|member| concerns(member)) {
                continue;
            }
            self.count += 1;
            self.sizes.push((what.to_owned(), members.len()));
            let names: Vec<_> = members.iter().map(String::as_str).collect();
            let text = &mut self.text;
            writeln!(text, "A circle of {} {what}: {}", members.len(), names.join(", "))
                .expect("a string takes everything");
            for ((from, to), told) in edges {
                if members.contains(from) && members.contains(to) {
                    writeln!(text, "    {told}").expect("a string takes everything");
                }
            }
        }
    }
}
