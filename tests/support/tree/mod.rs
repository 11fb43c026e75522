//! The source of the package as a tree: its modules, who uses whom, and what is public.
//!
//! `modules` reads the tree, `names` looks up names in it, `uses` lists which file uses which. `house` knows the floors and
//! finds circles; `surface` lists what is public.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

mod built;
mod circles;
mod expand;
pub mod house;
pub mod modules;
mod names;
mod spell;
pub mod surface;
pub mod surface_file;
pub mod uses;
