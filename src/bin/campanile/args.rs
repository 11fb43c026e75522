//! Command-line arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

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
    /// Check, show or write settings.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report all that is wrong with the settings. The exit code is 1 if anything is.
    Check(ConfigSource),
    /// Print all settings as TOML, with secrets masked.
    Show {
        #[command(flatten)]
        source: ConfigSource,
        /// Say where each setting that is not a default is from.
        #[arg(long)]
        origin: bool,
    },
    /// Print a file with every setting, its default and what it is for.
    Template {
        /// With the settings of all parts, not only the first level of each section.
        #[arg(long)]
        full: bool,
    },
}

/// Where settings are from. Variables of the environment are read too.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigSource {
    /// File with settings, in TOML or JSON. Without it, the file that `CAMPANILE_CONFIG` names.
    pub(crate) file: Option<PathBuf>,
    /// Preset. Without it, the one that `CAMPANILE_PRESET` names.
    #[arg(long, value_enum)]
    pub(crate) preset: Option<PresetName>,
    /// One setting, such as `health.letters=50`. It wins over the file and the environment.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PresetName {
    Production,
    Development,
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
