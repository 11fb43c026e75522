//! The program `campanile`: a demonstration of the library on real sockets, and the settings of programs that use it.

mod args;
mod config;
mod demo;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = match args::Args::parse().command {
        args::Command::Demo(options) => options,
        args::Command::Config(command) => return config::run(command),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the Tokio runtime: {error}")),
    };
    match runtime.block_on(demo::run(options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    anstream::eprintln!("campanile: {message}");
    ExitCode::FAILURE
}
