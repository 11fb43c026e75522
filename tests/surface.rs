//! What a user of the crate can reach is listed in `tests/surface.txt`, and each room stays within its budget.

#[path = "support/source.rs"]
mod source;
#[path = "support/tree/mod.rs"]
mod tree;

use std::{fs, sync::LazyLock};

use tree::modules::Crate;
use tree::surface::{Line, Surface};
use tree::surface_file::{budgets, counts, difference, render};

const FILE: &str = "tests/surface.txt";

static SURFACE: LazyLock<Surface> =
    LazyLock::new(|| Surface::read(&Crate::read(&source::root().join("src"), "lib.rs")));

#[test]
fn the_surface_is_written_down() {
    let path = source::root().join(FILE);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let new = render(&SURFACE, &budgets(&old));
    if std::env::var_os("CAMPANILE_WRITE_SURFACE").is_some() {
        fs::write(&path, new).expect("the list of public items is written");
        return;
    }
    assert!(
        old == new,
        "{FILE} is not what the crate exports:\n{}\nIf it is meant: CAMPANILE_WRITE_SURFACE=1 cargo test --test surface",
        difference(&old, &new).join("\n")
    );
}

#[test]
fn every_room_keeps_to_its_budget() {
    let budgets = budgets(&source::read(FILE));
    let over: Vec<_> = counts(&SURFACE)
        .into_iter()
        .filter_map(|(room, count)| match budgets.get(&room) {
            Some(&budget) if count <= budget => None,
            Some(budget) => Some(format!("{room} has {count} public items, and a budget of {budget}")),
            None => Some(format!("{room} has {count} public items, and no budget in {FILE}")),
        })
        .collect();
    assert!(over.is_empty(), "\n{}", over.join("\n"));
}

#[test]
fn an_item_is_public_if_a_path_leads_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        (
            "lib.rs",
            "#[macro_use] mod macros; pub mod signal; mod store; pub use store::{Kept, inner::Deep as Renamed}; pub use store::all::*;
             #[cfg(test)] pub struct Test; #[doc(hidden)] pub struct Hidden;",
        ),
        (
            "macros.rs",
            "macro_rules! setters { ($(pub fn $name:ident($($at:ident: $kind:ty),*) { $($field:ident = $value:expr;)+ })+) => {
                $(pub fn $name(mut self, $($at: $kind),*) -> Self { $(self.$field = $value;)+ self })+
             } }
             macro_rules! words { ($visible:vis enum $name:ident { $($variant:ident = $word:literal,)+ }) => {
                $visible enum $name { $($variant,)+ }
                impl $name { pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)+ } } }
             } }",
        ),
        (
            "signal.rs",
            "words! { pub enum Level { Low = \"low\", High = \"high\", } } pub use crate::Kept; pub use std::fmt::Debug;
             pub fn f<'a, T>(_: &'a mut [T], _: impl Fn(u8) -> u8 + Send, _: [u8; 2]) -> Result<&'a (dyn Debug + 'a), ()> { todo!() }
             pub(crate) fn not_this() {}",
        ),
        (
            "store.rs",
            "pub struct Kept { pub at: u8, other: u8 } impl Kept { setters! { pub fn at(at: u8) { at = at; } } pub async fn go(&self) {} fn own() {} }
             impl Clone for Kept { fn clone(&self) -> Self { todo!() } }
             pub mod inner { pub struct Deep(pub u8, u8); #[cfg(not(test))] impl Deep { pub const ONE: u8 = 1; #[doc(hidden)] pub fn not_this() {} } pub struct Unreached; }
             pub mod all { pub trait Open { type Of; fn open(&self) -> Self::Of; } pub enum E { A, B(u8), C { x: u8 } } pub type Alias = Vec<u8>; }",
        ),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let surface = Surface::read(&Crate::read(folder.path(), "lib.rs"));
    let mut lines: Vec<_> = surface.lines().map(Line::text).collect();
    lines.sort();
    let wanted = "\
Alias type = Vec<u8>
E enum
E::A variant
E::B variant (u8)
E::C variant { x: u8 }
Kept struct
Kept::at field : u8
Kept::at method (self, u8) -> Self
Kept::go method async (&self)
Open trait
Open::Of type
Open::open method (&self) -> Self::Of
Renamed struct
Renamed::0 field : u8
Renamed::ONE const : u8
signal mod
signal::Debug use std::fmt::Debug
signal::Level enum
signal::Level::High variant
signal::Level::Low variant
signal::Level::as_str method (self) -> &'static str
signal::f fn (&'a mut [T], impl Fn(u8) -> u8 + Send, [u8; 2]) -> Result<&'a (dyn Debug + 'a), ()>";
    assert_eq!(lines.join("\n"), wanted);
    assert_eq!(surface.hidden, 2);
}
