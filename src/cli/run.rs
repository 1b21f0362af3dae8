//! `diffused run`: the service.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CliError, log};
use crate::app;
use crate::config::Config;

/// Run the service until SIGTERM or SIGINT
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/diffused/diffused.toml")]
    config: PathBuf,
}

/// Serves until told to stop.
pub fn run(args: &Args) -> Result<(), CliError> {
    let config = Config::load(&args.config)?;
    let _left_out = log::start(&config.log);
    let stop = stop_on_signals()?;
    app::serve(&config, &args.config, &stop)?;
    tracing::info!("stopped");
    Ok(())
}

/// Set by SIGTERM, SIGINT and SIGHUP.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| CliError::Internal(format!("signals cannot be handled: {error}")))?;
    Ok(stop)
}
