//! The thread that owns the sessions. Everybody else reaches it by channel.

mod joint;
mod serve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ndarray::ArrayD;
use ort::session::RunOptions;

use self::serve::Server;
use super::accelerator::Placement;
use super::blueprint::Blueprint;
use super::error::{LoadError, PassError};
use super::library::Runtime;
use super::session::{Feed, Options, Ports, part};
use crate::job::Watch;

/// How often a waiting caller asks whether to stop.
const POLL: Duration = Duration::from_millis(50);

/// The way to the thread that owns the sessions. It ends when the last way to it is gone.
#[derive(Clone, Debug)]
pub struct Engine {
    orders: Sender<Order>,
    options: Arc<Options>,
    placed: Arc<Mutex<BTreeMap<PathBuf, Placement>>>,
}

enum Order {
    Load { graph: Blueprint, answer: Sender<Result<(u64, Ports), LoadError>> },
    Run(Run),
    Close { graph: u64 },
}

/// A pass that somebody wants.
struct Run {
    graph: u64,
    feeds: Vec<Feed>,
    outputs: Vec<String>,
    /// How many are at work with this graph, pass after pass.
    seats: Arc<AtomicUsize>,
    answer: Sender<Answer>,
}

enum Answer {
    /// The pass begins.
    Begun(Arc<Ending>),
    /// It ended: what came out, or ONNX Runtime's sentence.
    Ended(Result<Done, String>),
}

/// What came out of a pass.
struct Done {
    /// The wanted outputs.
    values: Vec<ArrayD<f32>>,
    /// How long the graph ran.
    ran: Duration,
    /// How many callers' passes this one was.
    callers: usize,
}

/// Ends a running pass once nobody waits for it any more.
struct Ending(Mutex<Waiting>);

struct Waiting {
    callers: usize,
    /// What the pass runs with, once it does.
    running: Option<Arc<RunOptions>>,
}

impl Ending {
    fn new(callers: usize) -> Self {
        Self(Mutex::new(Waiting { callers, running: None }))
    }

    /// The pass runs with these options. One that nobody waits for ends at once.
    fn begin(&self, options: RunOptions) -> Arc<RunOptions> {
        let (mut waiting, options) = (self.lock(), Arc::new(options));
        if waiting.callers == 0 {
            terminate(&options);
        }
        waiting.running = Some(Arc::clone(&options));
        options
    }

    /// One caller less waits. True for the last one, with which the pass is told to end between two of its nodes.
    fn leave(&self) -> bool {
        let mut waiting = self.lock();
        waiting.callers = waiting.callers.saturating_sub(1);
        let is_last = waiting.callers == 0;
        waiting.running.iter().filter(|_| is_last).for_each(|options| terminate(options));
        is_last
    }

    fn is_deserted(&self) -> bool {
        self.lock().callers == 0
    }

    /// Nobody panics with the lock in hand.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// If this fails the pass goes on to its end.
fn terminate(options: &RunOptions) {
    if let Err(error) = options.terminate() {
        tracing::warn!(%error, "a running pass cannot be ended");
    }
}

impl Engine {
    /// Starts the thread.
    pub fn start(runtime: &Runtime, options: Options) -> Result<Self, LoadError> {
        let (orders, incoming) = mpsc::channel();
        let (runtime, options) = (runtime.clone(), Arc::new(options));
        let own = Arc::clone(&options);
        let placed = Arc::default();
        let noted = Arc::clone(&placed);
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || Server::new(&incoming, &runtime, &own, &noted).serve())
            .map_err(|error| LoadError::Engine { reason: error.to_string() })?;
        Ok(Self { orders, options, placed })
    }

    /// How its sessions are made and used.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// On what the nodes of the graphs below a folder run, by the names of the graphs; those that are on the CPU as
    /// asked are left out.
    pub fn placements(&self, folder: &Path) -> Vec<(String, Placement)> {
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let below = placed.iter().filter(|(file, _)| file.starts_with(folder));
        below.map(|(file, placement)| (part(file).to_owned(), placement.clone())).collect()
    }

    /// Loads a graph as it was exported; blocks until it is there.
    pub(super) fn load(&self, file: &Path) -> Result<Graph, LoadError> {
        self.build(Blueprint::as_exported(file))
    }

    /// Loads a graph with its edits and weights; blocks until it is there.
    pub(super) fn build(&self, graph: Blueprint) -> Result<Graph, LoadError> {
        let gone = || LoadError::Engine { reason: "its thread ended".to_owned() };
        let file = graph.file.clone();
        let (answer, loaded) = mpsc::channel();
        self.orders.send(Order::Load { graph, answer }).map_err(|_| gone())?;
        let (graph, ports) = loaded.recv().map_err(|_| gone())??;
        Ok(Graph { engine: self.clone(), graph, ports, file, seats: Arc::default() })
    }
}

/// A loaded graph; unloaded when dropped.
pub(super) struct Graph {
    engine: Engine,
    graph: u64,
    pub(super) ports: Ports,
    file: PathBuf,
    seats: Arc<AtomicUsize>,
}

/// Held by who runs a graph pass after pass: the passes of all who do so at the same time can be joined.
pub struct Seat(Vec<Arc<AtomicUsize>>);

impl Seat {
    pub(super) fn at<'a>(graphs: impl IntoIterator<Item = &'a Graph>) -> Self {
        let seats: Vec<_> = graphs.into_iter().map(|graph| Arc::clone(&graph.seats)).collect();
        for taken in &seats {
            taken.fetch_add(1, Ordering::AcqRel);
        }
        Self(seats)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for left in &self.0 {
            left.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Graph {
    /// One pass, and the values of `outputs` in that order. Asks `watch` all the while whether to stop, and then ends the pass
    /// between two of its nodes, unless others wait for it too.
    pub(super) fn run(
        &self,
        feeds: Vec<Feed>,
        outputs: &[&str],
        watch: &dyn Watch,
    ) -> Result<Vec<ArrayD<f32>>, PassError> {
        let outputs = outputs.iter().map(|&output| output.to_owned()).collect();
        let (answer, incoming) = mpsc::channel();
        let run = Run { graph: self.graph, feeds, outputs, seats: Arc::clone(&self.seats), answer };
        self.engine.orders.send(Order::Run(run)).map_err(|_| gone())?;
        let done = wait(&incoming, watch);
        watch.heartbeat();
        let done = done?;
        watch.passed(part(&self.file), done.ran, done.callers);
        Ok(done.values)
    }

    /// A fault of this graph.
    pub(super) fn fault(&self, reason: String) -> LoadError {
        LoadError::folder(&self.file, reason)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // A thread that is gone has closed the graph already.
        let _ = self.engine.orders.send(Order::Close { graph: self.graph });
    }
}

fn wait(incoming: &Receiver<Answer>, watch: &dyn Watch) -> Result<Done, PassError> {
    let (mut running, mut stopped) = (None, None);
    loop {
        match incoming.recv_timeout(POLL) {
            Ok(Answer::Begun(ending)) => running = Some(ending),
            Ok(Answer::Ended(outcome)) => match stopped {
                Some(stop) => return Err(PassError::Stopped(stop)),
                None => return outcome.map_err(PassError::of_runtime),
            },
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stopped.is_none()
            && let Some(stop) = watch.stop()
        {
            // A pass that nobody waits for does not begin; one that runs for others too goes on without us. The last one
            // waits until it has ended, for the process must not end under a graph that still runs.
            if !running.as_ref().is_some_and(|ending: &Arc<Ending>| ending.leave()) {
                return Err(PassError::Stopped(stop));
            }
            stopped = Some(stop);
        }
    }
}

fn gone() -> PassError {
    PassError::Failed("the engine's thread ended".to_owned())
}
