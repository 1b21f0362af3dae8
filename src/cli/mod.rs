//! The command line: one file a verb.

pub mod bench;
pub mod check;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod generate;
pub mod manual;
pub mod models;
pub mod run;
pub mod send;

mod bundled;
mod connection;
mod error;
mod loading;
mod log;
mod print;
mod progress;
mod wishes;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use error::CliError;

/// Prompts in over MQTT, Stable Diffusion on ONNX Runtime, pictures out.
#[derive(Debug, Parser)]
#[command(name = "diffused", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    Generate(generate::Args),
    Send(send::Args),
    Check(check::Args),
    Models(models::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Manual(manual::Args),
}

/// Runs the verb that the arguments name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(CliError::USAGE) };
        }
    };
    let ended = match &cli.verb {
        Verb::Run(args) => run::run(args),
        #[cfg(feature = "demo")]
        Verb::Demo(args) => demo::run(args),
        Verb::Generate(args) => generate::run(args),
        Verb::Send(args) => send::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Models(args) => models::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Bench(args) => bench::run(args, &arguments),
        Verb::Manual(args) => manual::run(args, Cli::command()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
