//! Arguments to verb to exit code.

use std::process::ExitCode;

use clap::Parser;
use diffused::cli::generate;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Generate(Box<generate::Args>),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .init();
    let Verb::Generate(args) = Line::parse().verb;
    match generate::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("diffused: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
