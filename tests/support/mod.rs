//! Real servers for tests.
//!
//! `tests/run install` installs them. `CAMPANILE_TEST_TOOLS` may name another folder with the programs in its `bin`. If a
//! program is missing, the test that needs it fails. A server ends when its value is dropped.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

pub mod client;
pub mod ports;
pub mod process;
pub mod prometheus;
#[cfg(all(campanile_real_servers, feature = "full"))]
pub mod redis;
pub mod rotel;
#[cfg(all(campanile_real_servers, feature = "full"))]
pub mod tls;

use std::{env, path::PathBuf};

#[allow(unused_imports)]
pub use prometheus::{Prometheus, promtool_check_metrics};
#[allow(unused_imports)]
pub use rotel::Rotel;

/// The path of a program for tests.
///
/// # Panics
///
/// If it is neither among the test tools nor on the `PATH`.
pub fn tool(name: &str) -> PathBuf {
    let tools = env::var_os("CAMPANILE_TEST_TOOLS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-tools"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [tools.join("bin")].into_iter().chain(env::split_paths(&path));
    match folders.map(|folder| folder.join(name)).find(|file| file.is_file()) {
        Some(file) => file,
        None => panic!(
            "this test needs the program `{name}`, which is neither in {} nor on the PATH: \
             run `tests/run install`, or set CAMPANILE_TEST_TOOLS to a folder that has it in `bin`",
            tools.join("bin").display()
        ),
    }
}
