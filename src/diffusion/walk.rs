//! Extra reverse steps: a run need not go straight down, it may climb back to a noisier level and come down again.

use super::place::{Place, Progress};
use super::schedule::Curve;
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

/// Resampling (as RePaint, Lugmayr et al. 2022, which spares the noisiest steps): every few steps the run goes these steps
/// back and does them again, so that what is painted anew has time to fit to what is kept. Samplers that remember earlier
/// steps forget them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    /// How many steps.
    pub jump: usize,
    /// How many times each of them is done in all; 1 is the plain run.
    pub repeats: usize,
}

/// A part of a run that goes only down.
pub(super) struct Segment {
    pub(super) levels: Levels,
    pub(super) place: Place,
}

/// Some of the way down, which may be gone several times.
struct Way {
    levels: Levels,
    /// Index of the plain run's step at its start.
    from: usize,
    /// Index of the plain run's step at its end.
    to: usize,
}

/// The segments of a run, in order; where one starts above the end of the one before, noise is to be put back.
pub(super) fn segments(
    levels: &Levels,
    skipped: usize,
    restart: Option<Restart>,
    resample: Option<Resample>,
) -> Vec<Segment> {
    let mut ways = down(levels, skipped, resample);
    if let Some(restart) = restart {
        ways = restarted(levels, ways, restart);
    }
    let total: usize = ways.iter().map(|way| way.levels.len()).sum();
    let mut before = 0;
    let placed = |Way { levels: own, from, to }: Way| {
        let progress = Progress { from, to, steps: own.len(), all: levels.len() };
        let place = Place { before, steps: total, progress };
        before += own.len();
        Segment { levels: own, place }
    };
    ways.into_iter().filter(|way| !way.levels.is_empty()).map(placed).collect()
}

/// The plain run in pieces, each as often as it is to be done; all in one piece where nothing is done again.
fn down(levels: &Levels, skipped: usize, resample: Option<Resample>) -> Vec<Way> {
    let steps = levels.len();
    let Resample { jump, repeats } =
        resample.filter(|resample| resample.repeats > 1).unwrap_or(Resample { jump: steps, repeats: 1 });
    let mut cuts: Vec<usize> = (skipped..steps).step_by(jump.max(1)).chain([steps]).collect();
    // Where the second step is listed twice, both are one with the first, which is done twice.
    for cut in cuts.iter_mut().skip(1) {
        while levels.is_listed_twice(*cut) || levels.is_listed_twice(*cut + 1) {
            *cut += 1;
        }
    }
    cuts.dedup();
    let way = |ends: &[usize]| {
        let (from, to) = (ends[0], ends[1]);
        std::iter::repeat_with(move || (from, to)).take(repeats)
    };
    let ways = cuts.windows(2).flat_map(way);
    ways.map(|(from, to)| Way { levels: levels.part(from..to), from, to }).collect()
}

/// The ways with the restart put in where the run first comes down to its level.
fn restarted(levels: &Levels, ways: Vec<Way>, restart: Restart) -> Vec<Way> {
    let starts: Vec<NoiseLevel> = levels.pairs().map(|(now, _)| *now).collect();
    let first = ways.first().map_or(0, |way| way.from);
    let (turn, top) = (nearest(&starts, restart.from), nearest(&starts, restart.to).max(first));
    if top >= turn || restart.steps == 0 {
        return ways;
    }
    let sigmas = Curve::Karras.between(starts[top].ve_sigma(), starts[turn].ve_sigma(), restart.steps + 1);
    let between = sigmas[1..restart.steps].iter().map(|&sigma| levels.at(sigma));
    let again: Vec<NoiseLevel> = std::iter::once(starts[top]).chain(between).collect();
    let again = Levels::chain(&again, starts[turn], levels.clock().clone());
    let mut result = Vec::new();
    let mut waiting = true;
    for Way { levels, from, to } in ways {
        if waiting && from < turn && turn <= to {
            waiting = false;
            result.push(Way { levels: levels.part(0..turn - from), from, to: turn });
            let more = || Way { levels: again.clone(), from: top, to: turn };
            result.extend(std::iter::repeat_with(more).take(restart.repeats));
            result.push(Way { levels: levels.part(turn - from..to - from), from: turn, to });
        } else {
            result.push(Way { levels, from, to });
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

    /// Ten levels, sigma / alpha 10, 9, ... 1, and the end.
    fn levels() -> Levels {
        let starts: Vec<_> = (0..10).map(|i| NoiseLevel::with_ve_sigma(f64::from(10 - i), f64::from(10 - i))).collect();
        Levels::chain(&starts, NoiseLevel::CLEAN, Clock::new(&[0.5, 20.0]))
    }

    /// First and last sigma / alpha, steps before, and progress at the start, of each segment.
    fn walked(skipped: usize, restart: Option<Restart>, resample: Option<Resample>) -> Vec<(f64, f64, usize, f64)> {
        let round = |x: f64| (x * 1e6).round() / 1e6;
        let told = |segment: &Segment| {
            let ends = (round(segment.levels.first().ve_sigma()), round(segment.levels.last().ve_sigma()));
            (ends.0, ends.1, segment.place.before, round(segment.place.progress.at(0)))
        };
        segments(&levels(), skipped, restart, resample).iter().map(told).collect()
    }

    #[test]
    fn a_plain_run_goes_straight_down() {
        assert_eq!(walked(0, None, None), [(10.0, 0.0, 0, 0.0)]);
        assert_eq!(walked(7, None, None), [(3.0, 0.0, 0, 0.7)]);
        assert!(walked(10, None, None).is_empty());
    }

    #[test]
    fn a_restart_climbs_back_and_comes_down_again() {
        let restart = Restart { from: 2.2, to: 7.9, steps: 3, repeats: 2 };
        let expected = [(10.0, 2.0, 0, 0.0), (8.0, 2.0, 8, 0.2), (8.0, 2.0, 11, 0.2), (2.0, 0.0, 14, 0.8)];
        assert_eq!(walked(0, Some(restart), None), expected);
        let walked = segments(&levels(), 0, Some(restart), None);
        assert!(walked.iter().all(|segment| segment.place.steps == 16));
        assert!((walked[1].place.progress.each() - 0.2).abs() < 1e-12, "three steps for the way of six");
    }

    #[test]
    fn a_restart_never_climbs_above_the_start() {
        let restart = Restart { from: 2.0, to: 10.0, steps: 3, repeats: 1 };
        assert_eq!(walked(4, Some(restart), None)[1].0, 6.0);
        let upside_down = Restart { from: 8.0, to: 2.0, steps: 3, repeats: 1 };
        assert_eq!(walked(0, Some(upside_down), None).len(), 1);
    }

    #[test]
    fn resampling_does_every_stretch_again() {
        let twice = Some(Resample { jump: 4, repeats: 2 });
        let ends: Vec<_> = walked(2, None, twice).iter().map(|leg| (leg.0, leg.1)).collect();
        assert_eq!(ends, [(8.0, 4.0), (8.0, 4.0), (4.0, 0.0), (4.0, 0.0)]);
    }

    #[test]
    fn nothing_done_again_is_a_plain_run() {
        assert_eq!(walked(0, None, Some(Resample { jump: 3, repeats: 1 })), walked(0, None, None));
    }

    #[test]
    fn a_step_that_is_listed_twice_is_never_torn_apart() {
        let doubled = levels().with_second_twice();
        let ends = |jump| -> Vec<(f64, f64)> {
            let walked = segments(&doubled, 0, None, Some(Resample { jump, repeats: 2 }));
            walked.iter().map(|one| (one.levels.first().ve_sigma(), one.levels.last().ve_sigma())).collect()
        };
        for jump in [1, 2, 3] {
            let falls = |pair: &[(f64, f64)]| pair[0].1 == pair[1].0 || pair[0] == pair[1];
            let near = |(a, b): (f64, f64)| ((a * 1e6).round() / 1e6, (b * 1e6).round() / 1e6);
            let ends: Vec<_> = ends(jump).into_iter().map(near).collect();
            assert!(ends.windows(2).all(falls), "{jump}: {ends:?}");
        }
    }

    #[test]
    fn a_restart_begins_at_a_level_of_the_run() {
        let restart = Restart { from: 2.0, to: 8.0, steps: 3, repeats: 1 };
        let walked = segments(&levels(), 0, Some(restart), None);
        assert_eq!(Some(&walked[1].levels.first()), levels().pairs().nth(2).map(|(now, _)| now));
    }
}
