//! `diffused check`: is this configuration fit to run?

use std::path::PathBuf;

use super::print::say;
use super::{CliError, log};
use crate::app;
use crate::config::Config;

/// Check the configuration and the models, and name every fault with its place
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/diffused/diffused.toml")]
    config: PathBuf,
}

/// Reads the configuration, loads every model, and says what it found.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    let config = Config::load(&args.config)?;
    let pipeline = app::load(&config, &args.config)?;
    let rules = app::rules(&config, pipeline.facts(), &args.config)?;
    say(&format!("configuration {}: ok", args.config.display()))?;
    say(&format!("node {}: broker {} port {}", config.node, config.broker.host, config.broker.port))?;
    for model in &rules.models {
        say(&format!(
            "model {}: {} {}, {} steps, sampler {}: ok",
            model.name,
            model.family,
            model.size,
            model.steps.get(),
            model.sampler.name
        ))?;
    }
    Ok(())
}
