//! `diffused bench`: how long a picture takes, where the time goes, and which of two ways is quicker.

mod compare;
mod measure;
mod power;
mod report;
mod statistics;
mod stopwatch;

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use self::measure::Measured;
use super::loading::Loading;
use super::print::say;
use super::wishes::Wishes;
use super::{CliError, log};

/// Measure how long pictures take, and where the time goes
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct Args {
    /// What to show; each picture gets its number behind it, for what was encoded once is remembered
    #[arg(long, value_name = "TEXT", default_value = "a red circle on a blue background")]
    prompt: String,
    /// Size of the picture, such as 512x512 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with_all = ["width", "height"])]
    size: Option<(i64, i64)>,
    #[command(flatten)]
    wishes: Wishes,
    #[command(flatten)]
    loading: Loading,
    /// Requests that are measured; 0 only loads the model
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Requests at the same time, which share the passes of the U-Net where there is room
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    jobs: usize,
    /// Requests before those, which are not measured
    #[arg(long, value_name = "N", default_value_t = 1)]
    warm_up: usize,
    /// Measure the same with these options too, in turn and in processes of their own, and compare
    #[arg(long, value_name = "OPTIONS", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    against: String,
    /// With --against: how often the two take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures, and prints what came out. `arguments` are those of the program, its name first.
pub fn run(args: &Args, arguments: &[OsString]) -> Result<(), CliError> {
    log::quiet();
    let own = arguments.get(1..).unwrap_or_default();
    let (report, table) = if args.against.trim().is_empty() {
        let report = measured(args, own)?;
        let table = report::table(&report);
        (report, table)
    } else {
        let report = compare::compare(args, own)?;
        let table = compare::table(&report);
        (report, table)
    };
    if args.json { say(&report) } else { say(&table) }
}

/// Measures in this process. Where a cache is to be filled first, another process does and tells how long it took.
fn measured(args: &Args, own: &[OsString]) -> Result<Value, CliError> {
    let cold = match &args.loading.cache {
        Some(cache) if args.runs > 0 && is_empty(cache) => Some(child(own, &["--runs", "0"])?),
        _ => None,
    };
    let mut report = report::report(args, &Measured::new(args)?);
    if let Some(cold) = cold {
        report["load"]["cold_ms"] = cold["load"]["cold_ms"].clone();
    }
    Ok(report)
}

/// Whether a folder of graphs has nothing yet.
fn is_empty(cache: &std::path::Path) -> bool {
    fs::read_dir(cache).map_or(true, |mut entries| entries.next().is_none())
}

/// What this verb measures in a process of its own, with more options behind these.
fn child(own: &[OsString], more: &[&str]) -> Result<Value, CliError> {
    let fault = |reason: String| CliError::Internal(format!("the process that measures failed: {reason}"));
    let program = std::env::current_exe().map_err(|error| fault(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(own).args(more).args(["--against", "", "--json"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| fault(error.to_string()))?;
    if !output.status.success() {
        return Err(fault(output.status.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| fault(error.to_string()))
}

fn size(text: &str) -> Result<(i64, i64), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parsed.ok_or_else(|| format!("expected a width, x and a height, got {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_with_an_x_between_them() {
        assert_eq!(size("512x768"), Ok((512, 768)));
        assert!(size("512").is_err() && size("x").is_err() && size("axb").is_err());
    }
}
