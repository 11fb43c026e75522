//! The `OTEL_*` variables. `table.rs` lists them, `read.rs` reads them.

mod read;
mod table;

pub(super) use read::{Variables, percent_decoded};
pub use table::{UNREAD_VARIABLES, VARIABLES, Variable};
