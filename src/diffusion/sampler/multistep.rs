//! What the multistep samplers share: memory of earlier predictions, and the weights that they get.

use crate::diffusion::latents::combine;
use crate::diffusion::{Latents, Levels, NoiseLevel, Solver};

/// The last few predictions with the levels where they were made, newest first.
pub(super) struct Past {
    most: usize,
    seen: Vec<(NoiseLevel, Latents)>,
}

impl Past {
    /// Remembers up to `most` predictions.
    pub(super) fn of(most: usize) -> Self {
        Self { most, seen: Vec::new() }
    }

    pub(super) fn push(&mut self, level: &NoiseLevel, prediction: Latents) {
        self.seen.insert(0, (*level, prediction));
        self.seen.truncate(self.most);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NoiseLevel, &Latents)> {
        self.seen.iter().map(|(level, prediction)| (level, prediction))
    }

    /// Where on the way the newest `n` were made, in [`NoiseLevel::lambda`].
    pub(super) fn lambdas(&self, n: usize) -> Vec<f64> {
        self.seen.iter().take(n).map(|(level, _)| level.lambda()).collect()
    }

    /// The weighted sum of the newest predictions, as many as there are weights.
    pub(super) fn weighted(&self, weights: &[f64]) -> Option<Latents> {
        let mut terms = self.seen.iter().zip(weights);
        let ((_, newest), weight) = terms.next()?;
        let first = newest.mapv(|x| *weight as f32 * x);
        Some(terms.fold(first, |sum, ((_, prediction), weight)| combine(1.0, sum, *weight, prediction)))
    }
}

/// Runs shorter than this end with steps of lower order, as in diffusers (`lower_order_final`).
const SHORT: usize = 15;

/// The order of a step with `left` steps left, itself included, where `known` predictions are there; `first` says that the
/// last step is of first order in any case.
pub(super) fn order(known: usize, left: usize, levels: &Levels, solver: &Solver, first: bool) -> usize {
    let short = solver.lower_order_final && levels.planned() < SHORT;
    match left {
        1 if short || first => 1,
        2 if short => known.min(2),
        _ => known,
    }
}

/// A step of latents / alpha along the noise, whose weights are integrals over sigma / alpha.
///
/// `past` holds the noise predictions; the newest belongs to `clean`, the prediction at `now`.
pub(super) fn step_along(
    clean: &Latents,
    past: &Past,
    mut weights: Vec<f64>,
    now: &NoiseLevel,
    next: &NoiseLevel,
) -> Latents {
    // latents / alpha = clean + sigma / alpha * noise: written so, nothing large cancels where alpha is small.
    if let Some(newest) = weights.first_mut() {
        *newest += now.ve_sigma();
    }
    weights.iter_mut().for_each(|weight| *weight *= next.alpha());
    match past.weighted(&weights) {
        Some(noise) => combine(next.alpha(), clean.clone(), 1.0, &noise),
        None => clean.clone(),
    }
}

/// The weights w that integrate every polynomial through values at `nodes` exactly: sum of w * node^k = moment k, for as
/// many powers k from 0 as there are nodes (all different).
pub(super) fn weights(nodes: &[f64], moments: &[f64]) -> Vec<f64> {
    nodes.iter().enumerate().map(|(i, _)| integral(&lagrange(nodes, i), moments)).collect()
}

/// Coefficients, from the constant up, of the polynomial that is 1 at node `i` and 0 at all others.
fn lagrange(nodes: &[f64], i: usize) -> Vec<f64> {
    let mut polynomial = vec![1.0];
    for (_, other) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
        let distance = nodes[i] - other;
        let mut product = vec![0.0; polynomial.len() + 1];
        for (power, coefficient) in polynomial.iter().enumerate() {
            product[power + 1] += coefficient / distance;
            product[power] -= coefficient * other / distance;
        }
        polynomial = product;
    }
    polynomial
}

fn integral(polynomial: &[f64], moments: &[f64]) -> f64 {
    polynomial.iter().zip(moments).map(|(coefficient, moment)| coefficient * moment).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_adams_and_bashforth_on_even_nodes() {
        let moments: Vec<f64> = (1..=4).map(|k| 1.0 / f64::from(k)).collect();
        let expected = [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0];
        let gaps = weights(&[0.0, -1.0, -2.0, -3.0], &moments).into_iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(gaps.fold(0.0, f64::max) < 1e-14);
        assert_eq!(weights(&[7.0], &[2.0]), [2.0]);
    }

    #[test]
    fn only_the_newest_predictions_are_kept() {
        let (mut past, level) = (Past::of(2), NoiseLevel::new(0.5, 1.0));
        assert_eq!(past.weighted(&[1.0]), None);
        for value in [1.0, 2.0, 3.0] {
            past.push(&level, Latents::from_elem([1, 1, 1, 1], value));
        }
        assert_eq!(past.len(), 2);
        assert_eq!(past.weighted(&[10.0, 1.0]), Some(Latents::from_elem([1, 1, 1, 1], 32.0)));
        assert_eq!(past.weighted(&[10.0]), Some(Latents::from_elem([1, 1, 1, 1], 30.0)));
    }
}
