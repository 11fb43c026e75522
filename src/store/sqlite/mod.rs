//! A store in a SQLite file. Start with [`SqliteStore`] in `store.rs`.
//!
//! One thread writes (`writer.rs`). It takes all jobs that have arrived since the last commit and commits them as one
//! group, so that a hundred callers share one `fsync`. It answers each caller after the commit that contains its
//! letter. Readers have their own connections (`readers.rs`) and do not wait for the writer, nor do other
//! processes.
//!
//! `calls.rs` implements [`Store`](super::Store). `open.rs` opens the file, and `schema.rs` migrates it. `change.rs`
//! is what one transaction does, with `rows.rs`, `search.rs` and `tally.rs`; `report.rs` reads. `database.rs`,
//! `identity.rs` and `registry.rs` notice a file that was moved or replaced while it was open.

mod calls;
mod change;
mod clock;
mod columns;
mod copy;
#[cfg(test)]
mod cost_tests;
mod database;
mod depths;
mod errors;
mod file;
mod identity;
mod job;
mod log;
mod open;
mod open_file;
mod readers;
mod registry;
mod report;
mod reserve;
mod rows;
mod schema;
mod search;
mod store;
mod tally;
mod tidy;
mod writer;

#[cfg(feature = "checks")]
pub(crate) use registry::is_replaced;
pub use store::SqliteStore;
