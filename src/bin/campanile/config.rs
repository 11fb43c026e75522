//! `campanile config`: checks, shows and writes settings.

use std::io::Write as _;
use std::process::ExitCode;

use campanile::hub::config::{Config, ConfigErrors, Preset, template};

use crate::args::{ConfigCommand, ConfigSource, PresetName};
use crate::fail;

pub(crate) fn run(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Check(source) => match load(source) {
            Ok(_) => print("The settings are valid.\n"),
            Err(errors) => refuse(&errors),
        },
        ConfigCommand::Show { source, origin } => match load(source) {
            Ok(config) => print(&config.show(origin)),
            Err(errors) => refuse(&errors),
        },
        ConfigCommand::Template { full } => print(&template(full)),
    }
}

/// Loads the settings, and prints warnings about them. What the command line names wins over variables.
fn load(source: ConfigSource) -> Result<Config, ConfigErrors> {
    let mut loader = Config::loader("unknown_service").arguments(source.set);
    let mut replaced = Vec::new();
    if let Some(file) = source.file {
        loader = loader.file(file);
        replaced.push("CAMPANILE_CONFIG");
    }
    if let Some(preset) = source.preset {
        loader = loader.preset(match preset {
            PresetName::Production => Preset::Production,
            PresetName::Development => Preset::Development,
        });
        replaced.push("CAMPANILE_PRESET");
    }
    let variables = std::env::vars_os().filter(|(name, _)| !replaced.iter().any(|replaced| name == replaced));
    let config = loader.environment_os(variables).load()?;
    for warning in config.warnings() {
        anstream::eprintln!("warning: {warning}");
    }
    Ok(config)
}

fn refuse(errors: &ConfigErrors) -> ExitCode {
    for fault in errors.faults() {
        anstream::eprintln!("{fault}");
    }
    let count = errors.faults().len();
    fail(&format!("the settings have {count} fault{}", if count == 1 { "" } else { "s" }))
}

fn print(text: &str) -> ExitCode {
    // A reader that has seen enough closes the pipe.
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(&format!("cannot write: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}
