//! Time and memory of LoRAs at a model's real size, as JSON.
//!
//! `benches/lora.py` makes the model and the LoRAs, runs this beside diffusers and prints the table of `docs/adapters.md`.
//! Without the environment variables that it sets there is nothing to measure.
//!
//! | variable | what it is |
//! |---|---|
//! | `DIFFUSED_BENCH_MODEL` | the folder of an exported model |
//! | `DIFFUSED_BENCH_ADAPTERS` | a folder of adapters with the LoRAs `a` and `b` |
//! | `DIFFUSED_BENCH_MEMORY` | bytes of weights that may stay loaded, [`MEMORY`] if absent |

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use diffused::job::units::Seed;
use diffused::job::{Generate, Limits, Progress, Recipe, Rules, Stage, Stop, Watch};
use diffused::model::{Options, Runtime};
use diffused::pipeline::{Pipeline, Source};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Room for two sets of SD v1.5 in 32 bits, 3.9 GB each: the second use of a LoRA finds it, and the third set drives one out.
const MEMORY: u64 = 8 << 30;

/// What is asked for in turn. LoRA `a` stays loaded when its other scale comes; `b` and the plain model drive others out.
const STEPS: [(&str, &str); 8] = [
    ("warm up", ""),
    ("plain", ""),
    ("first use", " <lora:a:1>"),
    ("second use", " <lora:a:1>"),
    ("another scale", " <lora:a:0.5>"),
    ("the first scale again", " <lora:a:1>"),
    ("another LoRA", " <lora:b:1>"),
    ("without again", ""),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    let (Some(model), Some(adapters)) = (folder("DIFFUSED_BENCH_MODEL"), folder("DIFFUSED_BENCH_ADAPTERS")) else {
        return Ok(writeln!(io::stdout(), "nothing to measure without a model: run benches/lora.py")?);
    };
    let memory = env::var("DIFFUSED_BENCH_MEMORY").map_or(Ok(MEMORY), |bytes| bytes.parse())?;
    let merging = Merging::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(merging.clone()))?;
    let runtime = Runtime::start(None)?;
    let begun = Instant::now();
    let options = Options { memory: Some(memory), ..Options::default() };
    let source = Source { name: "bench".to_owned(), folder: model, safety: false };
    let pipeline = Pipeline::load(&runtime, options, &[source], Some(&adapters))?;
    let mut measured = json!({"load": begun.elapsed().as_secs_f64(), "held after load": held()?});
    for (name, lora) in STEPS {
        measured[name] = step(&pipeline, lora, &merging)?;
    }
    Ok(writeln!(io::stdout(), "{measured}")?)
}

/// Makes a picture of one step. Seconds until it is there, until the graphs are, and of merging alone; bytes of memory.
/// `cpu` are seconds of all threads until the graphs are there: other work on the machine does not count in them.
fn step(pipeline: &Pipeline, lora: &str, merging: &Merging) -> Result<Value, Box<dyn Error>> {
    let recipe = recipe(pipeline, lora)?;
    // The kernel forgets the peak that came before.
    fs::write("/proc/self/clear_refs", "5")?;
    merging.0.store(0, Ordering::Relaxed);
    let watch = Ready { begun: Instant::now(), worked: processor()?, seconds: Mutex::new(None) };
    pipeline.generate(&recipe, &watch).map_err(|failure| failure.message)?;
    let whole = watch.begun.elapsed().as_secs_f64();
    let merge = merging.0.load(Ordering::Relaxed) as f64 / 1000.0;
    let (ready, cpu) = watch.seconds().ok_or("a picture without a text")?;
    let (peak, held) = (status("VmHWM")?, held()?);
    Ok(json!({"whole": whole, "ready": ready, "cpu": cpu, "merge": merge, "peak": peak, "held": held}))
}

fn recipe(pipeline: &Pipeline, lora: &str) -> Result<Recipe, Box<dyn Error>> {
    let rules = Rules::bare(Limits::WIDEST, pipeline.facts());
    let fields = json!({"prompt": format!("a red circle{lora}"), "steps": 1, "width": 64, "height": 64, "seed": 0});
    let fields = fields.as_object().cloned().unwrap_or_default();
    Ok(Recipe::from_fields(fields, Seed::from(0), &rules).map_err(|rejection| rejection.message)?.recipe)
}

/// Bytes of memory that are no mapped files.
fn held() -> Result<u64, Box<dyn Error>> {
    status("RssAnon")
}

/// A number of bytes that the kernel knows of this process.
fn status(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    Ok(line.ok_or("the kernel does not tell how much memory is used")?.parse::<u64>()? << 10)
}

/// Seconds that all threads of this process have worked, also those that ended.
fn processor() -> Result<f64, Box<dyn Error>> {
    /// How the kernel counts towards programs, on every machine.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name, in brackets; what counts are the fields 14 and 15.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_A_SECOND)
}

/// Sees when all graphs are loaded: then the text encoder runs.
struct Ready {
    begun: Instant,
    worked: f64,
    seconds: Mutex<Option<(f64, f64)>>,
}

impl Ready {
    fn seconds(&self) -> Option<(f64, f64)> {
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Ready {
    fn progress(&self, progress: Progress) {
        if progress.stage != Stage::Load {
            let now = (self.begun.elapsed().as_secs_f64(), processor().map_or(f64::NAN, |now| now - self.worked));
            self.seconds.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        }
    }

    fn heartbeat(&self) {}

    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// Milliseconds that merging took, as the log has them.
#[derive(Clone, Default)]
struct Merging(Arc<AtomicU64>);

impl<S: Subscriber> Layer<S> for Merging {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Merging {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "merge_ms" {
            self.0.fetch_add(value, Ordering::Relaxed);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
