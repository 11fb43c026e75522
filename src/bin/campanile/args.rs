//! Command-line arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Circuit breakers, retries, dead letters, telemetry and health for tower services.
#[derive(Debug, Parser)]
#[command(name = "campanile", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run two services on loopback, break one of them by a script, and report what happened to every order.
    Demo(DemoOptions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// Seconds for which orders are sent. The script of faults is stretched to this time.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    pub(crate) seconds: u64,

    /// Folder to keep the dead letters in. Without it they are removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Print the result as one line of JSON on stdout, and the report on stderr.
    #[arg(long)]
    pub(crate) json: bool,
}
