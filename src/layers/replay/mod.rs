//! Request bodies that can be sent again. Start with [`ReplayBody`] in `body.rs`; `buffer.rs` keeps the chunks that were
//! read.

mod body;
mod buffer;
mod upload;

pub use body::ReplayBody;
pub(crate) use buffer::Captured;
pub(crate) use upload::Upload;
