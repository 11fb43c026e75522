//! Workers through their public API.
fn main() {}
