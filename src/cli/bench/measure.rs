//! Pictures made with a clock in hand.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::power;
use super::stopwatch::{Run, Stopwatch};
use super::{Args, is_empty};
use crate::board::Board;
use crate::cli::CliError;
use crate::cli::loading::rules;
use crate::job::units::Seed;
use crate::job::{Generate, Output, Parsed, Progress, Recipe, Rules, Stage, Watch};
use crate::pipeline::Pipeline;

/// What was measured.
pub(super) struct Measured {
    /// What every picture was made of, save its number.
    pub(super) recipe: Recipe,
    pub(super) load: Duration,
    /// Whether what was kept of an earlier load was at hand.
    pub(super) from_cache: bool,
    /// Bytes that had to be read from the disk for the load.
    pub(super) read: Option<u64>,
    /// From the begin of the load to the end of the first pass of the U-Net.
    pub(super) first_pass: Option<Duration>,
    pub(super) runs: Vec<Run>,
    /// From the begin of the first run to the end of the last one.
    pub(super) whole: Duration,
    /// What the board drew meanwhile, in watts.
    pub(super) watts: Option<f64>,
    /// The load of the machine before all this.
    pub(super) load_average: Option<f64>,
}

impl Measured {
    /// Loads the model and makes the pictures.
    pub(super) fn new(args: &Args) -> Result<Self, CliError> {
        let board = Board::here();
        let load_average = board.load_average();
        let from_cache = args.loading.cache.as_ref().is_some_and(|cache| !is_empty(cache));
        let read = board.read_from_disk();
        let begun = Instant::now();
        let pipeline = args.loading.pipeline(args.jobs)?;
        let load = begun.elapsed();
        let read = board.read_from_disk().zip(read).map(|(after, before)| after.saturating_sub(before));
        let output = Output::from_fields(args.wishes.output(Path::new("")))?;
        let studio = Studio { rules: rules(&pipeline), pipeline, output, args };
        let recipe = studio.recipe(0)?;
        studio.output.check(recipe.size)?;
        let mut first_pass = None;
        for n in 0..if args.runs > 0 { args.warm_up } else { 0 } {
            let until_now = begun.elapsed();
            let run = studio.run(n)?;
            first_pass = first_pass.or(run.first_pass.map(|passed| until_now + passed));
        }
        let until_now = begun.elapsed();
        let numbers = args.warm_up..args.warm_up + args.runs;
        let measured = Instant::now();
        let (runs, watts) = power::during(&board, || studio.runs(numbers));
        let (runs, whole) = (runs?, measured.elapsed());
        let first_measured = runs.first().and_then(|run| run.first_pass).map(|passed| until_now + passed);
        let first_pass = first_pass.or(first_measured);
        Ok(Self { recipe, load, from_cache, read, first_pass, runs, whole, watts, load_average })
    }
}

/// Where pictures are made.
struct Studio<'a> {
    pipeline: Pipeline,
    rules: Rules,
    output: Output,
    args: &'a Args,
}

impl Studio<'_> {
    /// The recipe of the run of that number.
    fn recipe(&self, number: usize) -> Result<Recipe, CliError> {
        let mut fields = self.args.wishes.fields(&format!("{} {number}", self.args.prompt))?;
        if let Some((width, height)) = self.args.size {
            fields.extend([("width".to_owned(), json!(width)), ("height".to_owned(), json!(height))]);
        }
        let Parsed { recipe, .. } = Recipe::from_fields(fields, Seed::from(0), &self.rules)?;
        Ok(recipe)
    }

    /// The runs of these numbers, as many at the same time as asked for.
    fn runs(&self, numbers: Range<usize>) -> Result<Vec<Run>, CliError> {
        let next = AtomicUsize::new(numbers.start);
        let work = || {
            let mine = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < numbers.end));
            mine.map(|n| self.run(n)).collect::<Result<Vec<_>, _>>()
        };
        let runs = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.jobs).map(|_| scope.spawn(work)).collect();
            let died = |_| CliError::Internal("a thread that makes pictures died".to_owned());
            threads.into_iter().map(|thread| thread.join().map_err(died)?).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(runs.into_iter().flatten().collect())
    }

    /// Makes and encodes the pictures of a run.
    fn run(&self, number: usize) -> Result<Run, CliError> {
        let clock = Stopwatch::start();
        let recipe = self.recipe(number)?;
        let made = self.pipeline.generate(&recipe, &clock)?;
        for (k, one) in made.iter().enumerate() {
            clock.progress(Progress { stage: Stage::Publish, step: 0, steps: 0, k });
            let encoded = self.output.encode(one, &recipe, None);
            encoded.map_err(|error| CliError::Internal(error.to_string()))?;
        }
        Ok(clock.stop())
    }
}
