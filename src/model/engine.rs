//! The thread that owns the sessions. Everybody else reaches it by channel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ndarray::ArrayD;
use ort::session::RunOptions;

use super::accelerator::Placement;
use super::blueprint::Blueprint;
use super::error::{LoadError, PassError};
use super::library::Runtime;
use super::session::{Feed, Options, Ports, part};
use super::sessions::Sessions;
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
    Run { graph: u64, feeds: Vec<Feed>, outputs: Vec<String>, options: Arc<RunOptions>, answer: Sender<Outcome> },
    Close { graph: u64 },
}

/// The wanted outputs of a pass and how long the graph ran, or ONNX Runtime's sentence.
type Outcome = Result<(Vec<ArrayD<f32>>, Duration), String>;

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
            .spawn(move || serve(&incoming, &runtime, &own, &noted))
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
        Ok(Graph { engine: self.clone(), graph, ports, file })
    }
}

/// A loaded graph; unloaded when dropped.
pub(super) struct Graph {
    engine: Engine,
    graph: u64,
    pub(super) ports: Ports,
    file: PathBuf,
}

impl Graph {
    /// One pass, and the values of `outputs` in that order. Asks `watch` all the while whether to stop, and then ends the pass
    /// between two of its nodes.
    pub(super) fn run(
        &self,
        feeds: Vec<Feed>,
        outputs: &[&str],
        watch: &dyn Watch,
    ) -> Result<Vec<ArrayD<f32>>, PassError> {
        let outputs = outputs.iter().map(|&output| output.to_owned()).collect();
        let options = Arc::new(RunOptions::new().map_err(|error| PassError::of_runtime(error.to_string()))?);
        let (answer, incoming) = mpsc::channel();
        let order = Order::Run { graph: self.graph, feeds, outputs, options: Arc::clone(&options), answer };
        self.engine.orders.send(order).map_err(|_| gone())?;
        let outcome = wait(&incoming, &options, watch);
        watch.heartbeat();
        let (values, ran) = outcome?;
        watch.passed(part(&self.file), ran);
        Ok(values)
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

fn wait(
    incoming: &Receiver<Outcome>,
    options: &RunOptions,
    watch: &dyn Watch,
) -> Result<(Vec<ArrayD<f32>>, Duration), PassError> {
    let mut stopped = None;
    loop {
        match incoming.recv_timeout(POLL) {
            Ok(outcome) => match stopped {
                Some(stop) => return Err(PassError::Stopped(stop)),
                None => return outcome.map_err(PassError::of_runtime),
            },
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stopped.is_none()
            && let Some(stop) = watch.stop()
        {
            stopped = Some(stop);
            // If this fails the pass is waited for to its end.
            if let Err(error) = options.terminate() {
                tracing::warn!(%error, "a running pass cannot be ended");
            }
        }
    }
}

fn gone() -> PassError {
    PassError::Failed("the engine's thread ended".to_owned())
}

/// What the thread does: one order after another.
fn serve(orders: &Receiver<Order>, runtime: &Runtime, options: &Options, placed: &Mutex<BTreeMap<PathBuf, Placement>>) {
    let mut sessions = Sessions::new(runtime, options, options.budget());
    for (number, order) in (0_u64..).zip(orders) {
        // An answer that nobody waits for any more is no fault.
        match order {
            Order::Load { graph, answer } => {
                let file = graph.file.clone();
                let loaded = sessions.load(number, graph).map(|(session, ports)| {
                    if !session.placement.is_empty() {
                        let mut placed = placed.lock().unwrap_or_else(PoisonError::into_inner);
                        placed.insert(file, session.placement.clone());
                    }
                    (number, ports)
                });
                let _ = answer.send(loaded);
            }
            Order::Run { graph, feeds, outputs, options, answer } => {
                let outcome = match sessions.get(graph) {
                    Ok(Some(session)) => session.run(feeds, &outputs, &options).map_err(|error| error.to_string()),
                    Ok(None) => Err("the graph is not loaded".to_owned()),
                    Err(error) => Err(error.to_string()),
                };
                let _ = answer.send(outcome);
            }
            Order::Close { graph } => sessions.close(graph),
        }
    }
}
