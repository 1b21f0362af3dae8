//! What many measurements come to.

use serde_json::{Value, json};

/// The middle and the slow end of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) count: usize,
    /// Half of them are at most this; between the two in the middle where their number is even.
    pub(super) median: f64,
    /// The smallest that 95 % of them do not exceed (the nearest rank, nothing in between).
    pub(super) p95: f64,
}

impl Summary {
    /// Of nothing there is none.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let upper = values.get(count / 2)?;
        let median = if count % 2 == 1 { *upper } else { (values[count / 2 - 1] + upper) / 2.0 };
        let rank = (count * 95).div_ceil(100);
        Some(Self { count, median, p95: values[rank - 1] })
    }

    /// As the report has it; the values are milliseconds.
    pub(super) fn json(&self) -> Value {
        json!({"count": self.count, "median_ms": rounded(self.median), "p95_ms": rounded(self.p95)})
    }
}

/// How many times as large B is as A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    /// The median of B by the median of A.
    pub(super) medians: f64,
    /// The smallest ratio within a round, and the largest: measured one after the other, so that both had the same
    /// machine.
    pub(super) spread: [f64; 2],
}

impl Ratio {
    /// Of the rounds' measurements of A and B; of nothing, and of zeros, there is none.
    pub(super) fn of(rounds: &[(f64, f64)]) -> Option<Self> {
        let (a, b): (Vec<f64>, Vec<f64>) = rounds.iter().copied().unzip();
        let medians = Summary::of(b)?.median / Summary::of(a)?.median;
        let each = || rounds.iter().map(|(a, b)| b / a);
        let spread = [each().fold(f64::INFINITY, f64::min), each().fold(0.0, f64::max)];
        [medians, spread[0], spread[1]].iter().all(|ratio| ratio.is_finite()).then_some(Self { medians, spread })
    }
}

/// To a thousandth: less than a microsecond is noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median_and_p95(values: &[f64]) -> Option<(f64, f64)> {
        Summary::of(values.to_vec()).map(|summary| (summary.median, summary.p95))
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median_and_p95(&[30.0, 10.0, 20.0]), Some((20.0, 30.0)));
        assert_eq!(median_and_p95(&[40.0, 10.0, 30.0, 20.0]), Some((25.0, 40.0)));
        assert_eq!(median_and_p95(&[7.0]), Some((7.0, 7.0)));
        assert_eq!(median_and_p95(&[]), None);
    }

    #[test]
    fn one_slow_run_moves_the_p95_only_if_it_is_more_than_a_twentieth_of_them() {
        let with_slow = |quick: usize| [vec![1.0; quick], vec![1000.0]].concat();
        assert_eq!(median_and_p95(&with_slow(18)), Some((1.0, 1000.0)));
        assert_eq!(median_and_p95(&with_slow(19)), Some((1.0, 1.0)));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(median_and_p95(&hundred), Some((50.5, 95.0)));
    }

    #[test]
    fn a_machine_that_grows_slow_half_way_does_not_change_the_ratio() {
        let ratio = Ratio::of(&[(10.0, 5.0), (10.0, 5.0), (20.0, 10.0)]).unwrap();
        assert_eq!((ratio.medians, ratio.spread), (0.5, [0.5, 0.5]));
    }

    #[test]
    fn rounds_that_disagree_show_in_the_spread() {
        let ratio = Ratio::of(&[(10.0, 5.0), (10.0, 20.0), (10.0, 10.0)]).unwrap();
        assert_eq!((ratio.medians, ratio.spread), (1.0, [0.5, 2.0]));
        assert_eq!(Ratio::of(&[]), None);
        assert_eq!(Ratio::of(&[(0.0, 1.0)]), None);
    }
}
