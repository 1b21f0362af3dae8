//! Weights applied to what a text encoder gave.

use ndarray::{Array2, Axis};

/// Multiplies the states of each token, [tokens, width], by its weight and then all of them so that their mean is what it
/// was: the "original" emphasis of the common web interface. Begin, end and padding have weight 1.
///
/// With weights of 1 nothing changes, to the bit. Where the mean cannot be had back (the weighted one is within
/// rounding of 0, or not finite) the states stay as the weights made them. Weights beyond the states count for nothing.
pub fn reweigh(states: &mut Array2<f32>, weights: &[f32]) {
    if weights.iter().all(|&weight| weight == 1.0) {
        return;
    }
    let before = sum(states, f64::from);
    for (mut state, &weight) in states.axis_iter_mut(Axis(0)).zip(weights) {
        state *= weight;
    }
    let after = sum(states, f64::from);
    let ratio = (before / after) as f32;
    let rounding = f64::from(f32::EPSILON) * sum(states, |value| f64::from(value.abs()));
    if ratio.is_finite() && after.abs() > rounding {
        *states *= ratio;
    }
}

fn sum(states: &Array2<f32>, of: impl Fn(f32) -> f64) -> f64 {
    states.iter().map(|&value| of(value)).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn states_without_a_mean_are_only_multiplied() {
        let mut lost = array![[1.0, 2.0], [-1.0, -2.0]];
        reweigh(&mut lost, &[2.0, 2.0]);
        assert_eq!(lost, array![[2.0, 4.0], [-2.0, -4.0]]);
        let mut empty = array![[1.0, 2.0], [1.0, 3.0]];
        reweigh(&mut empty, &[0.0, 0.0]);
        assert_eq!(empty, array![[0.0, 0.0], [0.0, 0.0]]);
        let mut cancelled = array![[1.0, 2.0], [1.0, 2.0]];
        reweigh(&mut cancelled, &[3.0, -3.0]);
        assert_eq!(cancelled, array![[3.0, 6.0], [-3.0, -6.0]]);
    }

    #[test]
    fn equal_weights_change_nothing_but_roundings() {
        let mut states = array![[1.0, 2.0], [0.5, 2.5]];
        reweigh(&mut states, &[2.0, 2.0]);
        assert_eq!(states, array![[1.0, 2.0], [0.5, 2.5]]);
    }
}
