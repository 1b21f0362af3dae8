//! Unified predictor and corrector.

use super::Options;
use super::multistep::{Past, weights};
use super::step::step_towards;
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, NoiseLevel, SolverKind};

/// UniPC (Zhao et al. 2023, algorithms 5 to 8, data prediction), as diffusers' `UniPCMultistepScheduler`: each step is
/// corrected with the prediction made at its end, which the next step needs anyway.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn unipc(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let solver = &options.solver;
    let mut past = Past::of(solver.order);
    // Where the last step began, and its order.
    let mut before: Option<(Latents, NoiseLevel, usize)> = None;
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        if let Some((start, level, order)) = before.take()
            && !solver.disable_corrector.contains(&(levels.before() + step - 1))
        {
            latents = Step { from: &level, to: now, kind: solver.kind, order }.done(start, &past, Some(&clean));
        }
        past.push(now, clean);
        let order = match levels.len() - step {
            // No polynomial reaches the end without noise, which is infinitely far in lambda.
            _ if next.sigma() == 0.0 => 1,
            left if solver.lower_order_final => past.len().min(left),
            _ => past.len(),
        };
        let predicted = Step { from: now, to: next, kind: solver.kind, order }.done(latents.clone(), &past, None);
        before = Some((std::mem::replace(&mut latents, predicted), *now, order));
    }
    Ok(latents)
}

/// A step, to be predicted or corrected.
struct Step<'a> {
    from: &'a NoiseLevel,
    to: &'a NoiseLevel,
    kind: SolverKind,
    order: usize,
}

impl Step<'_> {
    /// Does it from `latents` with the predictions of the `past`, newest at its start, and that at its `end` if known.
    fn done(&self, latents: Latents, past: &Past, end: Option<&Latents>) -> Latents {
        let Some((_, newest)) = past.iter().next() else { return latents };
        let first_order = step_towards(newest, latents, self.from, self.to);
        let earlier: Vec<_> = past.iter().skip(1).take(self.order - 1).collect();
        if earlier.is_empty() && end.is_none() {
            return first_order;
        }
        let way = self.to.lambda() - self.from.lambda();
        let nodes = earlier.iter().map(|(level, _)| (level.lambda() - self.from.lambda()) / way);
        let nodes: Vec<f64> = nodes.chain(end.map(|_| 1.0)).collect();
        let (base, moments) = self.moments(way);
        let weights = match nodes.len() {
            // The paper's simplification for one node, whatever the base.
            1 => vec![0.5],
            _ => weights(&nodes, &moments),
        };
        let predictions = earlier.iter().map(|(_, prediction)| *prediction).chain(end);
        predictions.zip(nodes.iter().zip(weights)).fold(first_order, |sum, (prediction, (node, weight))| {
            let factor = -self.to.alpha() * base * weight / node;
            combine(1.0, combine(1.0, sum, factor, prediction), -factor, newest)
        })
    }

    /// B(h), and the moments that the weights must give (b in the paper).
    fn moments(&self, way: f64) -> (f64, Vec<f64>) {
        let h = -way;
        let base = if self.kind == SolverKind::Bh1 { h } else { h.exp_m1() };
        let (mut phi, mut factorial) = (h.exp_m1() / h - 1.0, 1.0);
        let mut moments = Vec::new();
        for k in 1..=self.order {
            moments.push(phi * factorial / base);
            factorial *= (k + 1) as f64;
            phi = phi / h - 1.0 / factorial;
        }
        (base, moments)
    }
}
