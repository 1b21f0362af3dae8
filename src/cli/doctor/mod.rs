//! `diffused doctor`: what is wrong with this box, and how to mend it.

mod broker;
mod clock;
mod drop_in;
mod engine;
mod finding;
mod http;
mod machine;
mod models;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use self::finding::{Finding, Level, table};
use super::print::say;
use super::{CliError, log};
use crate::board::Board;
use crate::config::Config;

/// Look over the whole box: library, accelerators, board, models, broker; and say how to mend what is wrong
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/diffused/diffused.toml")]
    config: PathBuf,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Write what the service may use of this board's GPU into a drop-in of its unit
    #[arg(long)]
    write_drop_in: bool,
}

/// Prints a line about each thing; fails if one of them is broken.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    let board = Board::here();
    if args.write_drop_in {
        return write_drop_in(&board, Path::new(drop_in::PATH));
    }
    let (config, first) = match Config::load(&args.config) {
        Ok(config) => (Some(config), Finding::ok("config", args.config.display().to_string())),
        Err(error) => {
            let fix = "mend it: diffused check names every fault; deploy/diffused.toml shows every setting";
            (None, Finding::fail("config", error.to_string(), fix))
        }
    };
    let mut findings = vec![first];
    findings.extend(machine::findings(&board, config.as_ref()));
    findings.extend(engine::findings(config.as_ref()));
    if let Some(config) = &config {
        findings.push(store::finding(&config.store));
        findings.extend(models::findings(config));
        findings.extend(broker::findings(config));
        findings.extend(http::findings(config));
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if args.json {
        say(&json!({"level": worst, "findings": findings}))?;
    } else {
        say(&table(&findings))?;
    }
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    match failed {
        0 => Ok(()),
        1 => Err(CliError::Unavailable("one thing is broken".to_owned())),
        more => Err(CliError::Unavailable(format!("{more} things are broken"))),
    }
}

/// A board without a GPU needs none; an old one would only be in the way.
fn write_drop_in(board: &Board, path: &Path) -> Result<(), CliError> {
    let nodes = board.gpu_nodes();
    if nodes.is_empty() {
        return Err(CliError::Unavailable(
            "this board shows no device nodes of a GPU: no drop-in is needed".to_owned(),
        ));
    }
    let unwritten = |error: std::io::Error| CliError::Io(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    fs::write(path, drop_in::text(&nodes)).map_err(unwritten)?;
    say(&format!(
        "{}: {} device nodes; now systemctl daemon-reload && systemctl restart diffused",
        path.display(),
        nodes.len()
    ))
}
