//! What the engine's thread does: one order after another, and passes of the same graph together.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::ArrayD;

use super::super::accelerator::Placement;
use super::super::blueprint::Blueprint;
use super::super::error::LoadError;
use super::super::library::Runtime;
use super::super::session::{Options, Ports};
use super::super::sessions::Sessions;
use super::joint;
use super::{Answer, Done, Ending, Order, Run};

/// How long a pass waits at most for those that may join it. They only have a sampler's step to compute, but the machine
/// may be busy.
const TOGETHER: Duration = Duration::from_millis(20);

/// The thread's own things.
pub(super) struct Server<'a> {
    orders: &'a Receiver<Order>,
    /// Orders that came while passes were gathered.
    pending: VecDeque<Order>,
    sessions: Sessions<'a>,
    placed: &'a Mutex<BTreeMap<PathBuf, Placement>>,
    /// How much a joined pass may hold, in latents of one channel.
    room: usize,
    /// Counts loaded graphs.
    loaded: u64,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        orders: &'a Receiver<Order>,
        runtime: &'a Runtime,
        options: &'a Options,
        placed: &'a Mutex<BTreeMap<PathBuf, Placement>>,
    ) -> Self {
        let sessions = Sessions::new(runtime, options, options.budget());
        Self { orders, pending: VecDeque::new(), sessions, placed, room: options.room(), loaded: 0 }
    }

    /// Until the last way to the thread is gone.
    pub(super) fn serve(mut self) {
        while let Some(order) = self.pending.pop_front().or_else(|| self.orders.recv().ok()) {
            match order {
                Order::Load { graph, answer } => self.load(graph, &answer),
                Order::Run(run) => {
                    let runs = self.gather(run);
                    self.run(runs);
                }
                Order::Close { graph } => self.sessions.close(graph),
            }
        }
    }

    fn load(&mut self, graph: Blueprint, answer: &Sender<Result<(u64, Ports), LoadError>>) {
        self.loaded += 1;
        let (number, file) = (self.loaded, graph.file.clone());
        let loaded = self.sessions.load(number, graph).map(|(session, ports)| {
            if !session.placement.is_empty() {
                let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
                placed.insert(file, session.placement.clone());
            }
            (number, ports)
        });
        // An answer that nobody waits for any more is no fault.
        let _ = answer.send(loaded);
    }

    /// A pass and those that can run as one with it: of all who are at work with its graph, a moment is waited for those
    /// that are between two passes.
    fn gather(&mut self, first: Run) -> Vec<Run> {
        let (seats, most) = (Arc::clone(&first.seats), joint::most(&first, self.room));
        let mut runs = vec![first];
        for order in std::mem::take(&mut self.pending) {
            self.sort(order, &mut runs, most);
        }
        let until = Instant::now() + TOGETHER;
        // Nobody has two orders at the same time, so those that want something else are not waited for.
        while runs.len() < most && runs.len() + self.pending.len() < seats.load(Ordering::Acquire) {
            let Ok(order) = self.orders.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
            self.sort(order, &mut runs, most);
        }
        runs
    }

    /// An order goes to the passes that it can join, or waits for its turn.
    fn sort(&mut self, order: Order, runs: &mut Vec<Run>, most: usize) {
        match order {
            Order::Run(run) if runs.len() < most && joint::agree(&runs[0], &run) => runs.push(run),
            other => self.pending.push_back(other),
        }
    }

    /// One pass for all of `runs`, without those that nobody waits for. What fails together is tried one by one.
    fn run(&mut self, mut runs: Vec<Run>) {
        let ending = Arc::new(Ending::new(runs.len()));
        runs.retain(|run| {
            let waits = run.answer.send(Answer::Begun(Arc::clone(&ending))).is_ok();
            waits || {
                ending.leave();
                false
            }
        });
        let (callers, parts) = (runs.len(), self.pass(&mut runs, &ending));
        match parts {
            Ok((parts, ran)) => {
                runs.iter().zip(parts).for_each(|(run, values)| end(run, Ok(Done { values, ran, callers })));
            }
            Err(reason) if callers == 1 || ending.is_deserted() => {
                runs.iter().for_each(|run| end(run, Err(reason.clone())));
            }
            Err(reason) => {
                tracing::debug!(reason, callers, "passes failed together");
                runs.into_iter().for_each(|run| self.run(vec![run]));
            }
        }
    }

    /// The pass itself. A single one's values are handed over, those of several stay for another try.
    fn pass(&mut self, runs: &mut [Run], ending: &Ending) -> Result<Parts, String> {
        let feeds = match &mut *runs {
            [] => return Ok((Vec::new(), Duration::ZERO)),
            [single] => std::mem::take(&mut single.feeds),
            several => joint::join(several)?,
        };
        match self.sessions.get(runs[0].graph) {
            Ok(Some(ready)) => {
                let (values, ran) = ready.run(feeds, &runs[0].outputs, &|options| ending.begin(options))?;
                Ok((joint::split(values, runs)?, ran))
            }
            Ok(None) => Err("the graph is not loaded".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What comes out for each caller of a joined pass, and how long the graph ran.
type Parts = (Vec<Vec<ArrayD<f32>>>, Duration);

/// An answer that nobody waits for any more is no fault.
fn end(run: &Run, outcome: Result<Done, String>) {
    let _ = run.answer.send(Answer::Ended(outcome));
}
