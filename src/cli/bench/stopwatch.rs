//! Looks on while a picture is made, with a clock in hand; then says where the time went.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::{Progress, Stage, Stop, Watch};

/// Notes what happens when.
pub(super) struct Stopwatch {
    begun: Instant,
    seen: Mutex<Vec<(Duration, Event)>>,
}

/// What is seen of a run.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// A stage or a step of picture `k` begins.
    Begins { stage: Stage, k: usize, step: usize },
    /// A pass of a graph came back.
    Passed { graph: String, ran: Duration, callers: usize },
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), seen: Mutex::default() }
    }

    /// The run is over.
    pub(super) fn stop(&self) -> Run {
        Run::read(&self.seen(), self.begun.elapsed())
    }

    fn note(&self, event: Event) {
        let at = self.begun.elapsed();
        self.seen().push((at, event));
    }

    /// Nobody panics with the lock in hand.
    fn seen(&self) -> MutexGuard<'_, Vec<(Duration, Event)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Stopwatch {
    fn progress(&self, Progress { stage, k, step, .. }: Progress) {
        self.note(Event::Begins { stage, k, step });
    }

    fn heartbeat(&self) {}

    fn passed(&self, graph: &str, ran: Duration, callers: usize) {
        self.note(Event::Passed { graph: graph.to_owned(), ran, callers });
    }

    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// Where the time of a run went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) total: Duration,
    /// By the stages' names.
    pub(super) stages: BTreeMap<&'static str, Share>,
    /// Each step of the sampler; a sampler may make several passes in one.
    pub(super) steps: Vec<Duration>,
    /// Each pass, by the names of the graphs.
    pub(super) passes: BTreeMap<String, Vec<Duration>>,
    /// How many requests each pass of the U-Net was for, summed up.
    pub(super) callers: usize,
    /// When the first pass of the U-Net was done.
    pub(super) first_pass: Option<Duration>,
}

/// What a stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) whole: Duration,
    /// Of which graphs ran.
    pub(super) graphs: Duration,
}

impl Run {
    /// What graphs ran, all in all.
    pub(super) fn graphs(&self) -> Duration {
        self.passes.values().flatten().sum()
    }

    fn read(seen: &[(Duration, Event)], total: Duration) -> Self {
        let mut run = Self { total, ..Self::default() };
        let mut now: Option<(Duration, Stage, usize, usize)> = None;
        for (at, event) in seen {
            match event {
                // A sampler that makes several passes a step begins it several times.
                Event::Begins { stage, k, step }
                    if now.is_some_and(|(_, s, p, n)| (s, p, n) == (*stage, *k, *step)) => {}
                Event::Begins { stage, k, step } => {
                    run.ended(now, *at);
                    now = Some((*at, *stage, *k, *step));
                }
                Event::Passed { graph, ran, callers } => {
                    run.pass(graph, *ran, *at, now.map(|(_, stage, ..)| stage));
                    run.callers += if graph == "unet" { *callers } else { 0 };
                }
            }
        }
        run.ended(now, total);
        run
    }

    fn ended(&mut self, stage: Option<(Duration, Stage, usize, usize)>, at: Duration) {
        let Some((begun, stage, ..)) = stage else { return };
        let took = at.saturating_sub(begun);
        self.stages.entry(stage.name()).or_default().whole += took;
        if stage == Stage::Denoise {
            self.steps.push(took);
        }
    }

    fn pass(&mut self, graph: &str, ran: Duration, at: Duration, stage: Option<Stage>) {
        self.passes.entry(graph.to_owned()).or_default().push(ran);
        if let Some(stage) = stage {
            self.stages.entry(stage.name()).or_default().graphs += ran;
        }
        if graph == "unet" {
            self.first_pass.get_or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn begins(at: u64, stage: Stage, step: usize) -> (Duration, Event) {
        (ms(at), Event::Begins { stage, k: 0, step })
    }

    fn passed(at: u64, graph: &str, ran: u64) -> (Duration, Event) {
        (ms(at), Event::Passed { graph: graph.to_owned(), ran: ms(ran), callers: 2 })
    }

    #[test]
    fn a_run_is_told_by_stage_step_and_pass() {
        let seen = [
            begins(1, Stage::Text, 0),
            passed(9, "text_encoder", 7),
            begins(10, Stage::Denoise, 0),
            passed(20, "unet", 8),
            begins(21, Stage::Denoise, 1),
            passed(33, "unet", 11),
            begins(34, Stage::Decode, 2),
            passed(60, "vae_decoder", 25),
            begins(61, Stage::Publish, 2),
        ];
        let run = Run::read(&seen, ms(70));
        let share = |whole, graphs| Share { whole: ms(whole), graphs: ms(graphs) };
        let stages =
            [("decode", share(27, 25)), ("denoise", share(24, 19)), ("publish", share(9, 0)), ("text", share(9, 7))];
        assert_eq!(run.stages, BTreeMap::from(stages));
        assert_eq!(run.steps, [ms(11), ms(13)]);
        assert_eq!(run.passes["unet"], [ms(8), ms(11)]);
        assert_eq!((run.graphs(), run.first_pass, run.callers), (ms(51), Some(ms(20)), 4));
    }

    #[test]
    fn a_step_of_two_passes_is_one_step() {
        let seen = [
            begins(0, Stage::Denoise, 0),
            passed(5, "unet", 5),
            begins(5, Stage::Denoise, 0),
            passed(10, "unet", 5),
            begins(10, Stage::Denoise, 1),
        ];
        assert_eq!(Run::read(&seen, ms(14)).steps, [ms(10), ms(4)]);
    }

    #[test]
    fn a_run_of_which_nothing_was_seen_took_its_time_all_the_same() {
        assert_eq!(Run::read(&[], ms(3)), Run { total: ms(3), ..Run::default() });
    }
}
