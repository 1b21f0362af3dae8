//! Extra reverse steps: a run need not go straight down, it may climb back to a noisier level and come down again.

use super::denoise::Leg;
use super::sample::Plan;
use super::schedule::karras;
use super::{Levels, NoiseLevel};

/// Restart sampling (Xu et al. 2023, algorithm 1): when the run comes down to one level, noise is put back up to another,
/// and the way down is done again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restart {
    /// Where to turn, as sigma / alpha; the nearest level of the run is taken.
    pub from: f64,
    /// Where to climb to, as sigma / alpha; the nearest level of the run is taken.
    pub to: f64,
    /// Steps of each way down, with Karras spacing.
    pub steps: usize,
    /// How many times.
    pub repeats: usize,
}

/// Resampling (RePaint, Lugmayr et al. 2022, algorithm 1): every few steps the run goes these steps back and does them
/// again, so that what is painted anew has time to fit to what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    /// How many steps.
    pub jump: usize,
    /// How many times each stretch is done in all.
    pub repeats: usize,
}

/// A stretch that goes only down.
pub(super) struct Stretch {
    pub(super) levels: Levels,
    pub(super) place: Leg,
}

/// The stretches of a run, in order; where one starts above the end of the one before, noise is to be put back.
pub(super) fn legs(levels: &Levels, skipped: usize, plan: &Plan) -> Vec<Stretch> {
    let steps = levels.len();
    let mut ways: Vec<(Levels, usize, usize)> = Vec::new();
    for (from, to) in stretches(skipped, steps, plan.resample) {
        ways.push((levels.part(from..to), from, to));
    }
    if let Some(restart) = plan.restart.or_else(|| plan.sampler.restart.and_then(|usual| usual(steps))) {
        ways = restarted(levels, ways, restart);
    }
    let total: usize = ways.iter().map(|(levels, ..)| levels.len()).sum();
    let mut before = 0;
    let place = |(levels, from, to): (Levels, usize, usize)| {
        let each = (to - from) as f64 / (levels.len().max(1) * steps.max(1)) as f64;
        let place = Leg { before, steps: total, progress: (from as f64 / steps as f64, each) };
        before += levels.len();
        Stretch { levels, place }
    };
    ways.into_iter().filter(|(levels, ..)| !levels.is_empty()).map(place).collect()
}

/// The plain way as index ranges, each as often as it is to be done.
fn stretches(skipped: usize, steps: usize, resample: Option<Resample>) -> Vec<(usize, usize)> {
    let Resample { jump, repeats } = resample.unwrap_or(Resample { jump: steps, repeats: 1 });
    let starts = (skipped..steps).step_by(jump.max(1));
    starts.flat_map(|from| std::iter::repeat_n((from, steps.min(from + jump)), repeats)).collect()
}

/// The ways with the restart put in where the run first comes down to its level.
fn restarted(levels: &Levels, ways: Vec<(Levels, usize, usize)>, restart: Restart) -> Vec<(Levels, usize, usize)> {
    let starts: Vec<NoiseLevel> = levels.pairs().map(|(now, _)| *now).collect();
    let first = ways.first().map_or(0, |(_, from, _)| *from);
    let (turn, top) = (nearest(&starts, restart.from), nearest(&starts, restart.to).max(first));
    if top >= turn || restart.steps == 0 {
        return ways;
    }
    let (most, least) = (starts[top].ve_sigma(), starts[turn].ve_sigma());
    let down: Vec<NoiseLevel> = karras(most, least, restart.steps).into_iter().map(|sigma| levels.at(sigma)).collect();
    let again = Levels::chain(&down, starts[turn], levels.clock().clone());
    let mut result = Vec::new();
    let mut waiting = true;
    for (way, from, to) in ways {
        if waiting && from < turn && turn <= to {
            waiting = false;
            result.push((way.part(0..turn - from), from, turn));
            result.extend(std::iter::repeat_n((again.clone(), top, turn), restart.repeats));
            result.push((way.part(turn - from..to - from), turn, to));
        } else {
            result.push((way, from, to));
        }
    }
    result
}

/// Index of the level nearest to a sigma / alpha.
fn nearest(levels: &[NoiseLevel], ve_sigma: f64) -> usize {
    let distance = |index: &usize| (levels[*index].ve_sigma() - ve_sigma).abs();
    (0..levels.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::levels::Clock;
    use crate::diffusion::{Guidance, Schedule, sampler};

    /// Ten levels, sigma / alpha 10, 9, ... 1, and the end.
    fn levels() -> Levels {
        let starts: Vec<_> = (0..10).map(|i| NoiseLevel::with_ve_sigma(f64::from(10 - i), f64::from(10 - i))).collect();
        Levels::chain(&starts, NoiseLevel::CLEAN, Clock::new(&[0.5, 20.0]))
    }

    fn plan(restart: Option<Restart>, resample: Option<Resample>) -> Plan {
        let euler = sampler::find("euler").unwrap();
        Plan { restart, resample, ..Plan::new(euler, Schedule::Model, 10, Guidance::none()) }
    }

    /// First and last sigma / alpha, steps before, and progress at the start, of each stretch.
    fn walked(skipped: usize, plan: &Plan) -> Vec<(f64, f64, usize, f64)> {
        let round = |x: f64| (x * 1e6).round() / 1e6;
        let told = |leg: &Stretch| {
            let ends = (round(leg.levels.first().ve_sigma()), round(leg.levels.last().ve_sigma()));
            (ends.0, ends.1, leg.place.before, round(leg.place.progress.0))
        };
        legs(&levels(), skipped, plan).iter().map(told).collect()
    }

    #[test]
    fn a_plain_run_goes_straight_down() {
        assert_eq!(walked(0, &plan(None, None)), [(10.0, 0.0, 0, 0.0)]);
        assert_eq!(walked(7, &plan(None, None)), [(3.0, 0.0, 0, 0.7)]);
        assert!(walked(10, &plan(None, None)).is_empty());
    }

    #[test]
    fn a_restart_climbs_back_and_comes_down_again() {
        let restart = Restart { from: 2.2, to: 7.9, steps: 3, repeats: 2 };
        let expected = [(10.0, 2.0, 0, 0.0), (8.0, 2.0, 8, 0.2), (8.0, 2.0, 11, 0.2), (2.0, 0.0, 14, 0.8)];
        assert_eq!(walked(0, &plan(Some(restart), None)), expected);
        let legs = legs(&levels(), 0, &plan(Some(restart), None));
        assert!(legs.iter().all(|leg| leg.place.steps == 16));
        assert!((legs[1].place.progress.1 - 0.2).abs() < 1e-12, "three steps for the way of six");
    }

    #[test]
    fn a_restart_never_climbs_above_the_start() {
        let restart = Restart { from: 2.0, to: 10.0, steps: 3, repeats: 1 };
        assert_eq!(walked(4, &plan(Some(restart), None))[1].0, 6.0);
        let upside_down = Restart { from: 8.0, to: 2.0, steps: 3, repeats: 1 };
        assert_eq!(walked(0, &plan(Some(upside_down), None)).len(), 1);
    }

    #[test]
    fn resampling_does_every_stretch_again() {
        let twice = plan(None, Some(Resample { jump: 4, repeats: 2 }));
        let ends: Vec<_> = walked(2, &twice).iter().map(|leg| (leg.0, leg.1)).collect();
        assert_eq!(ends, [(8.0, 4.0), (8.0, 4.0), (4.0, 0.0), (4.0, 0.0)]);
    }
}
