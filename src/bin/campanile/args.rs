//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Services that survive failure, and show it.
#[derive(Debug, Parser)]
#[command(name = "campanile", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run two services on loopback, break one of them by a script, and account for every order.
    Demo(DemoOptions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// How long orders come in; the script of faults stretches with it.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    pub(crate) seconds: u64,

    /// Where the dead letters are kept, for a look at them afterwards. Without it they are removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Print the result as one line of JSON on stdout; what a person reads goes to stderr.
    #[arg(long)]
    pub(crate) json: bool,
}
