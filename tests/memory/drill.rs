//! One job after another, each with another of several models and sets of adapters, and what the process holds then.
//!
//!     job-drill --model NAME=DIR... --set "MODEL PROMPT"... --adapters DIR --jobs N [...]
//!
//! After so many jobs (`--period`) they come in the same order again, so that one hundred jobs can be held against another.
//! Prints a line for each job: the kibibytes that the process has for itself, and its threads. Each loaded graph has
//! threads of its own, so that these tell how many are loaded.

// A helper of tests fails by panicking, and speaks to them by what it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::PathBuf;

use clap::Parser;
use diffused::job::units::Seed;
use diffused::job::{Generate, Limits, Recipe, Rules, Unwatched};
use diffused::model::{Options, Runtime};
use diffused::pipeline::{Pipeline, Source};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// A model and its folder
    #[arg(long = "model", value_name = "NAME=DIR")]
    models: Vec<String>,
    /// A model and a prompt with adapters
    #[arg(long = "set", value_name = "MODEL PROMPT")]
    sets: Vec<String>,
    /// Where the adapters are
    #[arg(long)]
    adapters: PathBuf,
    #[arg(long)]
    jobs: usize,
    /// After how many jobs the sets come in the same order again
    #[arg(long, default_value_t = 100)]
    period: usize,
    /// Bytes that loaded graphs may take together
    #[arg(long)]
    memory: Option<u64>,
    /// Bytes that are lost with every job
    #[arg(long, default_value_t = 0)]
    leak: usize,
}

fn main() {
    let args = Args::parse();
    let pair = |text: &str, between| text.split_once(between).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let source = |(name, folder)| Source { name, folder: PathBuf::from(folder), safety: false };
    let sources: Vec<Source> = args.models.iter().map(|model| source(pair(model, '='))).collect();
    let runtime = Runtime::start(None).unwrap();
    let options = Options { threads: Some(2), memory: args.memory, ..Options::default() };
    let pipeline = Pipeline::load(&runtime, options, &sources, Some(&args.adapters)).unwrap();
    let rules = Rules::bare(Limits::WIDEST, pipeline.facts());
    for job in 0..args.jobs {
        let (model, prompt) = pair(&args.sets[turn(job % args.period) % args.sets.len()], ' ');
        let width = [64, 96][job / 2 % 2];
        let fields = json!({"model": model, "prompt": prompt, "steps": 2, "seed": job, "width": width, "height": 64});
        let Value::Object(fields) = fields else { return };
        let recipe = Recipe::from_fields(fields, Seed::from(0), &rules).unwrap().recipe;
        assert_eq!(pipeline.generate(&recipe, &Unwatched).unwrap().len(), 1);
        // Pages count once they are written to.
        std::mem::forget(vec![1_u8; args.leak]);
        println!("{} {}", status("RssAnon:"), status("Threads:"));
    }
}

/// Whose turn it is: sets come in any order.
fn turn(job: usize) -> usize {
    let mix = (job as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mix ^ (mix >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as usize
}

/// A number of `/proc/self/status`.
fn status(key: &str) -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
