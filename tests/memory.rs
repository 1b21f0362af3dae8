//! Many jobs over several models and sets of adapters, and whether memory grows.
//!
//! The full form prints the figures of `docs/performance.md`:
//!
//!     cargo build --release --example job-drill
//!     cargo test --release --test it -- --ignored --nocapture memory::

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::chaos::steady;
use crate::golden::Result;
use crate::golden::family::Family;
use crate::support::program::{complaint, root};

/// Ten sets of adapters on three models.
const SETS: [&str; 10] = [
    "sd1 a red circle <lora:kohya:0.8>",
    "sdxl a star <lora:kohya-sdxl:0.8>",
    "sd1 a garnet house <lora:locon:0.7><lora:loha:0.5>",
    "sd1 a boat <hypernet:swirl:0.5>",
    "sdxl a star <lora:diffusers-sdxl:0.8>",
    "sd1 a boat <lora:dora><hypernet:grain>",
    "sdxl an opal circle <lora:kohya-sdxl:0.6><hypernet:dune:0.5>",
    "shapes a red circle <lora:outline:1>",
    "shapes a blue star <hypernet:blueprint:0.7>",
    "shapes totem <lora:outline:0.5><hypernet:blueprint>",
];
/// Bytes that loaded graphs may take together: some of the sets have to go whenever others come.
const BUDGET: u64 = 25_000_000;
/// Bytes that a planted leak loses with every job.
const LEAK: u64 = 1 << 20;

/// What a process is to do.
struct Drill {
    sets: &'static [&'static str],
    jobs: usize,
    budget: u64,
    leak: u64,
}

/// What it held after each job: kibibytes of its own, and threads.
struct Held {
    memory: Vec<f64>,
    threads: Vec<f64>,
}

impl Held {
    /// The share by which memory grew from the first to the last `stretch` of the jobs after so many.
    fn growth(&self, after: usize, stretch: usize) -> f64 {
        let rest = &self.memory[after..];
        steady::quantile(&rest[rest.len() - stretch..], 0.5) / steady::quantile(&rest[..stretch], 0.5) - 1.0
    }

    fn most_threads(&self) -> f64 {
        steady::quantile(&self.threads, 1.0)
    }
}

impl Drill {
    fn run(&self) -> Result<Held> {
        let (sd1, sdxl) = (Family::adapted("sd1")?, Family::adapted("sdxl")?);
        let store = tempfile::tempdir()?;
        for from in [root().join("tests/golden/adapters"), root().join("models/adapters")] {
            copy(&from, store.path())?;
        }
        let mut command = Command::new(program());
        let models =
            [("shapes", root().join("models/shapes")), ("sd1", sd1.folder().into()), ("sdxl", sdxl.folder().into())];
        for (name, folder) in models {
            if self.sets.iter().any(|set| set.starts_with(&format!("{name} "))) {
                command.arg("--model").arg(format!("{name}={}", folder.display()));
            }
        }
        command.args(self.sets.iter().flat_map(|set| ["--set", *set]));
        command.arg("--adapters").arg(store.path()).args(["--jobs", &self.jobs.to_string()]);
        command.args(["--memory", &self.budget.to_string(), "--leak", &self.leak.to_string()]);
        // As docs/performance.md recommends.
        command.envs([("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_ARENA_MAX", "1")]);
        let output = command.current_dir(root()).output()?;
        assert!(output.status.success(), "{}", complaint(&output));
        let told = String::from_utf8(output.stdout)?;
        let pairs = told.lines().filter_map(|line| line.split_once(' '));
        let pairs = pairs.map(|(memory, threads)| Ok((memory.parse::<f64>()?, threads.parse::<f64>()?)));
        let (memory, threads): (Vec<_>, Vec<_>) = pairs.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        assert_eq!(memory.len(), self.jobs);
        Ok(Held { memory, threads })
    }
}

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/job-drill");
    assert!(program.exists(), "{} is missing: cargo build --example job-drill", program.display());
    program
}

/// The files of adapters below a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for kind in ["embeddings", "hypernetworks", "loras"] {
        fs::create_dir_all(to.join(kind))?;
        for file in fs::read_dir(from.join(kind))? {
            let file = file?.path();
            fs::copy(&file, to.join(kind).join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

#[test]
fn jobs_that_load_and_unload_leave_nothing_behind_and_a_leak_would_be_seen() -> Result<()> {
    // Two sets that never fit together.
    let drill = Drill { sets: &SETS[..2], jobs: 60, budget: 1, leak: 0 };
    let (sound, leaking) = (drill.run()?, Drill { leak: LEAK, ..drill }.run()?);
    println!("grew by {:.4}, with a leak by {:.4}", sound.growth(20, 10), leaking.growth(20, 10));
    assert!(sound.growth(20, 10) < 0.05, "memory grows");
    assert!(leaking.growth(20, 10) > 0.05, "a leak is not seen");
    Ok(())
}

#[test]
fn graphs_stay_loaded_within_the_memory_for_them_only() -> Result<()> {
    let threads = |budget| Drill { sets: &SETS[..7], jobs: 20, budget, leak: 0 }.run().map(|held| held.most_threads());
    let (little, all) = (threads(1)?, threads(u64::MAX)?);
    // A graph of each model's own with another for every set.
    assert!(little + 7.0 < all, "threads, of loaded graphs among others: {little}, without a limit {all}");
    Ok(())
}

#[test]
#[ignore = "minutes: the figures of docs/performance.md"]
fn a_thousand_jobs_over_three_models_and_ten_sets_of_adapters_leave_memory_flat() -> Result<()> {
    let report = |held: &Held| {
        let at: Vec<f64> = held.memory.chunks(100).map(|hundred| steady::quantile(hundred, 0.5)).collect();
        println!("KiB, by hundreds of jobs: {at:.0?}; grew by {:.4}", held.growth(100, 100));
    };
    let drill = Drill { sets: &SETS, jobs: 1000, budget: BUDGET, leak: 0 };
    let sound = drill.run()?;
    report(&sound);
    let leaking = Drill { leak: LEAK, jobs: 300, ..drill }.run()?;
    report(&leaking);
    assert!(sound.growth(100, 100) < 0.01, "memory grows");
    assert!(leaking.growth(100, 100) > 0.01, "a leak is not seen");
    Ok(())
}
