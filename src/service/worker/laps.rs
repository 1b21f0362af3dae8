//! Where the time of a job goes, by what it says of its progress.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::job::{Progress, Stage};

/// The stages and steps of a job so far.
#[derive(Default)]
pub(super) struct Laps {
    /// What is being done, and since when.
    now: Option<(Instant, Progress)>,
    stages: BTreeMap<&'static str, Duration>,
    steps: Vec<Duration>,
}

impl Laps {
    /// Something begins, unless it is what goes on already: a sampler that makes several passes a step tells of it
    /// several times.
    pub(super) fn at(&mut self, time: Instant, progress: Progress) {
        if self.now.is_none_or(|(_, now)| now != progress) {
            self.close(time);
            self.now = Some((time, progress));
        }
    }

    /// The job is over: the time of each stage by its name, and of each step of the sampler.
    pub(super) fn end(mut self, time: Instant) -> (BTreeMap<&'static str, Duration>, Vec<Duration>) {
        self.close(time);
        (self.stages, self.steps)
    }

    fn close(&mut self, time: Instant) {
        let Some((begun, progress)) = self.now.take() else { return };
        let took = time.saturating_duration_since(begun);
        *self.stages.entry(progress.stage.name()).or_default() += took;
        if progress.stage == Stage::Denoise {
            self.steps.push(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_several_pictures_add_up_and_a_step_of_two_passes_is_one() {
        let begun = Instant::now();
        let mut laps = Laps::default();
        let mut at = |millis, stage, step, k| {
            laps.at(begun + Duration::from_millis(millis), Progress { stage, step, steps: 2, k });
        };
        at(0, Stage::Text, 0, 0);
        at(10, Stage::Denoise, 0, 0);
        at(20, Stage::Denoise, 0, 0);
        at(40, Stage::Denoise, 1, 0);
        at(60, Stage::Decode, 2, 0);
        at(65, Stage::Denoise, 0, 1);
        at(75, Stage::Decode, 2, 1);
        let (stages, steps) = laps.end(begun + Duration::from_millis(80));
        let ms = Duration::from_millis;
        assert_eq!(stages, BTreeMap::from([("decode", ms(10)), ("denoise", ms(60)), ("text", ms(10))]));
        assert_eq!(steps, [ms(30), ms(20), ms(10)]);
        let (stages, steps) = Laps::default().end(begun);
        assert!(stages.is_empty() && steps.is_empty());
    }
}
