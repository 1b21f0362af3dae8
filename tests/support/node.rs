//! The service in this process, with the fake generator.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use diffused::app::{AppError, Appliance, rules};
use diffused::board::Board;
use diffused::config::Config;
use diffused::job::units::ClipSkip;
use diffused::job::{AdapterFacts, AdapterKind, Fit, Mode, ModelFacts, Reading, Rules};
use tempfile::TempDir;

use super::broker::Mosquitto;
use super::fake::Painter;
use super::flat::flat;
use super::listener::Listener;

/// A running service called `jet1`; stopped when dropped.
pub struct Node {
    pub painter: Arc<Painter>,
    pub store: TempDir,
    /// Once set, the adapters are gone.
    pub emptied: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), AppError>>>,
}

impl Node {
    pub fn start(broker: &Mosquitto, painter: Painter) -> Self {
        Self::with(broker, painter, "", tempfile::tempdir().unwrap())
    }

    /// With more lines in its configuration, and a store that may have been used before.
    pub fn with(broker: &Mosquitto, painter: Painter, lines: &str, store: TempDir) -> Self {
        Self::named("jet1", broker, painter, lines, store)
    }

    /// With a name of its own, so that several can work for a pool.
    pub fn named(name: &str, broker: &Mosquitto, painter: Painter, lines: &str, store: TempDir) -> Self {
        Self::described(name, &mqtt(broker.port), painter, lines, store)
    }

    /// On a board that tells of itself below this folder.
    pub fn on_board(board: &Path, broker: &Mosquitto, painter: Painter, lines: &str) -> Self {
        Self::built(Board::at(board), "jet1", &mqtt(broker.port), painter, lines, tempfile::tempdir().unwrap())
    }

    /// With a table `[mqtt]` of its own. The machine that runs the tests may be as hot as it likes.
    pub fn described(name: &str, mqtt: &str, painter: Painter, lines: &str, store: TempDir) -> Self {
        Self::built(Board::at(store.path()), name, mqtt, painter, lines, store)
    }

    /// On this board, with all of that.
    pub fn built(board: Board, name: &str, mqtt: &str, painter: Painter, lines: &str, store: TempDir) -> Self {
        let config = config(name, mqtt, lines, store.path());
        let painter = Arc::new(painter);
        let rules = rules(&config, vec![facts()], Path::new(FILE)).unwrap();
        let emptied = Arc::new(AtomicBool::new(false));
        let (gone, after) = (
            Arc::clone(&emptied),
            Rules { models: vec![ModelFacts { adapters: Vec::new(), ..facts() }], ..rules.clone() },
        );
        let refresh = Box::new(move || gone.swap(false, Ordering::SeqCst).then(|| after.clone()));
        let mut appliance = Appliance::connect_on(board, &config).unwrap();
        appliance.begin(&config, rules, Arc::clone(&painter) as _, refresh).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = Some(std::thread::spawn(move || appliance.supervise(&flag)));
        Self { painter, store, emptied, stop, thread }
    }

    /// As [`start`](Self::start), and waits until the listener heard that it is online.
    pub fn online(broker: &Mosquitto, painter: Painter, listener: &Listener) -> Self {
        let node = Self::start(broker, painter);
        listener.first_where("jet1/availability", |heard| heard.text() == "online");
        node
    }

    /// Stops it in good order and hands back its store.
    pub fn stop(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.store, tempfile::tempdir().unwrap())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// A node called `jet1` whose models are still being loaded.
pub struct Loading {
    appliance: Appliance,
    config: Config,
    _store: TempDir,
}

impl Loading {
    /// With more lines in its configuration.
    pub fn start(port: u16, lines: &str) -> Self {
        let store = tempfile::tempdir().unwrap();
        let config = config("jet1", &mqtt(port), lines, store.path());
        let appliance = Appliance::connect_on(Board::at(store.path()), &config).unwrap();
        Self { appliance, config, _store: store }
    }

    /// The models are there.
    pub fn begin(&mut self) {
        let rules = rules(&self.config, vec![facts()], Path::new(FILE)).unwrap();
        self.appliance.begin(&self.config, rules, Arc::new(Painter::default()), Box::new(|| None)).unwrap();
    }

    /// Stops it in good order.
    pub fn stop(self) {
        self.appliance.supervise(&AtomicBool::new(true)).unwrap();
    }
}

/// What faults of a configuration would name.
const FILE: &str = "test.toml";

/// The table `[mqtt]` with a broker on this machine.
pub fn mqtt(port: u16) -> String {
    format!("[mqtt]\nurl = 'mqtt://127.0.0.1:{port}'")
}

fn config(name: &str, mqtt: &str, lines: &str, store: &Path) -> Config {
    let text = format!("[node]\nname = '{name}'\n{mqtt}\n[store]\ndir = '{}'\n{lines}", store.display());
    Config::parse(&text, Path::new(FILE)).unwrap()
}

/// A prompt over which the tokenizer panics.
pub const BREAKS_THE_TOKENIZER: &str = "breaks the tokenizer";

/// The flat model with more modes, with labels, and with adapters of which a prompt may name one.
pub fn facts() -> ModelFacts {
    let plain = flat();
    let count = Arc::clone(&plain.read);
    ModelFacts {
        modes: vec![Mode::Text, Mode::Image, Mode::Inpaint],
        labels: vec!["red".to_owned(), "blue".to_owned()],
        reuses: true,
        read: Arc::new(move |prompt, skip| {
            assert_ne!(prompt.text(), BREAKS_THE_TOKENIZER);
            let words = prompt.text().split_whitespace();
            let embeddings = words.filter(|word| *word == "narrow").map(str::to_owned).collect();
            Reading { embeddings, ..count(prompt, skip) }
        }),
        most_clip_skip: ClipSkip::at_most(2),
        adapters: adapters(),
        ..plain
    }
}

/// One that fits nearly, and one that does not.
fn adapters() -> Vec<AdapterFacts> {
    let adapter = |kind, name: &str, fit| AdapterFacts { kind, name: name.to_owned(), fit };
    vec![
        adapter(AdapterKind::Lora, "style", Ok(Fit { matched: 5, unmatched: 2 })),
        adapter(AdapterKind::Lora, "wide", Err("768 must be 1024".to_owned())),
        adapter(AdapterKind::Embedding, "narrow", Err("its vectors must be 1024 wide, got 768".to_owned())),
    ]
}
