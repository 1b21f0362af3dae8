//! The whole service around a generator that does what the prompt says: for tests that kill it.
//!
//!     fake-node --config FILE --log FILE [--pass MS] [--leak BYTES] [--patience MS] [--board DIR]
//!
//! The prompt is a name and, after a blank, what is to happen: `crash` (the process aborts), `crash-once` (only the
//! first time), `hang` (no sign of life for ever), `fail`, `oom`, `slow:MS`. The pixels follow from the seed and the size.
//! Every generation's begin and end is appended to the log, so that a test knows what was made twice and over what
//! the process died: `MICROSECONDS PROCESS begin|end PROMPT`, time in microseconds since 1970.

// Its modules are shared with the tests.
#![allow(unreachable_pub)]
// A helper of tests fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/flat.rs"]
mod flat;
#[path = "picture.rs"]
mod picture;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use diffused::app::{Appliance, rules};
use diffused::board::Board;
use diffused::config::Config;
use diffused::job::{Code, Failure, Generate, Made, Progress, Recipe, Stage, Watch};
use diffused::picture::Picture;
use diffused::service::Patience;

#[derive(Parser)]
struct Args {
    /// The configuration, as `diffused run` takes it
    #[arg(long)]
    config: PathBuf,
    /// Where begins and ends are noted
    #[arg(long)]
    log: PathBuf,
    /// Milliseconds that a picture takes
    #[arg(long, default_value_t = 0)]
    pass: u64,
    /// Bytes that are lost with every job
    #[arg(long, default_value_t = 0)]
    leak: usize,
    /// Milliseconds that work may stand still; the service's own limits if absent
    #[arg(long)]
    patience: Option<u64>,
    /// Where the board tells of itself; this machine if absent
    #[arg(long)]
    board: Option<PathBuf>,
}

fn main() {
    let args = Args::parse();
    let config = Config::load(&args.config).unwrap_or_else(|faults| panic!("{faults}"));
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .with_max_level(level(&config.log.level))
        .init();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).unwrap();
    let patience = args.patience.map_or_else(Patience::default, |millis| {
        let limit = Duration::from_millis(millis);
        Patience { first: limit, least: limit }
    });
    let rules = rules(&config, vec![flat::flat()], &args.config).unwrap();
    let actor = Actor { log: Log::open(&args.log), pass: Duration::from_millis(args.pass), leak: args.leak };
    let board = args.board.map_or_else(Board::here, |root| Board::at(&root));
    let started = Appliance::connect_on(board, &config).and_then(|mut appliance| {
        appliance.begin(&config, rules, Arc::new(actor), Box::new(|| None))?;
        Ok(appliance)
    });
    if let Err(error) = started.and_then(|appliance| appliance.patient(patience).supervise(&stop)) {
        tracing::error!(%error, "the service ended");
        std::process::exit(1);
    }
}

fn level(name: &str) -> tracing::Level {
    name.parse().unwrap_or(tracing::Level::INFO)
}

/// Does what the prompt says.
struct Actor {
    log: Log,
    pass: Duration,
    leak: usize,
}

impl Generate for Actor {
    fn generate(&self, recipe: &Recipe, watch: &dyn Watch) -> Result<Vec<Made>, Failure> {
        let prompt = recipe.prompt.text();
        self.log.note("begin", prompt);
        let what = prompt.split_once(' ').map_or("", |(_, what)| what);
        let mut pass = self.pass;
        match what {
            "crash" => std::process::abort(),
            "crash-once" if self.log.begins(prompt) == 1 => std::process::abort(),
            "hang" => loop {
                thread::sleep(Duration::from_secs(1));
            },
            "fail" => return Err(Failure::new(Code::Inference, "the actor was told to fail")),
            "oom" => return Err(Failure::new(Code::OutOfMemory, "the actor was told to run out of memory")),
            _ => {}
        }
        if let Some(millis) = what.strip_prefix("slow:") {
            pass = Duration::from_millis(millis.parse().unwrap());
        }
        let made = (0..recipe.count.get()).map(|k| draw(recipe, k, pass, watch)).collect::<Result<_, _>>()?;
        std::mem::forget(vec![1_u8; self.leak]);
        self.log.note("end", prompt);
        Ok(made)
    }
}

/// Waits as long as a picture takes, and paints it.
fn draw(recipe: &Recipe, k: u8, pass: Duration, watch: &dyn Watch) -> Result<Made, Failure> {
    let steps = usize::from(recipe.steps.get());
    watch.progress(Progress { stage: Stage::Denoise, step: 0, steps, k: usize::from(k) });
    let end = Instant::now() + pass;
    loop {
        if let Some(stop) = watch.stop() {
            return Err(Failure::stopped(stop));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
        watch.heartbeat();
    }
    let seed = recipe.seed.plus(k);
    let (width, height) = (recipe.size.width(), recipe.size.height());
    let picture = Picture::new(width, height, picture::pixels(seed.get(), width, height)).unwrap();
    Ok(Made { picture, seed })
}

/// The log of what was begun and ended; every line is one write, so that it survives the process.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), file: File::options().create(true).append(true).open(path).unwrap() }
    }

    fn note(&self, what: &str, prompt: &str) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let line = format!("{time} {} {what} {prompt}\n", std::process::id());
        (&self.file).write_all(line.as_bytes()).unwrap();
    }

    /// How often this was begun so far, in all lives of the process.
    fn begins(&self, prompt: &str) -> usize {
        let begin = format!(" begin {prompt}");
        std::fs::read_to_string(&self.path).unwrap().lines().filter(|line| line.ends_with(&begin)).count()
    }
}
