//! What the U-Net's deep layers made, kept for some steps (DeepCache, Ma, Fang and Wang 2023, with its uniform interval).

use std::ptr;

use ndarray::{ArrayD, Axis, Slice, concatenate};

use super::super::conditioning::Conditioning;
use super::super::engine::Graph;
use super::super::error::{LoadError, PassError};
use super::super::session::Port;
use super::{Inputs, wrong};
use crate::diffusion::{Input, Pass};
use crate::onnx::edit::FEATURE;

/// The layers of a U-Net that run in every step.
pub(super) struct Shallow {
    pub(super) graph: Graph,
    /// Where the feature goes in, and where the whole graph gives it out.
    pub(super) taken: Port,
    pub(super) given: Port,
}

impl Shallow {
    /// Holds the graph against the whole one: both take the same, but for the feature.
    pub(super) fn new(graph: Graph, full: &Graph, inputs: &Inputs) -> Result<Self, LoadError> {
        let ports = (|| {
            let taken = graph.ports.input(&[FEATURE], &[4])?.clone();
            let mut known = inputs.all();
            known.push(&taken);
            graph.ports.only(&known)?;
            Ok((taken, full.ports.output_named(FEATURE, 4)?.clone()))
        })();
        let (taken, given) = ports.map_err(|reason: String| graph.fault(reason))?;
        Ok(Self { graph, taken, given })
    }
}

/// What is kept of the passes of one run.
pub struct Kept<'a> {
    /// In every so many steps the deep layers run once.
    interval: usize,
    features: Vec<Feature<'a>>,
}

/// What the deep layers made of all pictures in one pass.
struct Feature<'a> {
    pass: Pass,
    text: &'a Conditioning,
    step: usize,
    timestep: f64,
    value: ArrayD<f32>,
}

impl<'a> Kept<'a> {
    /// The deep layers run in the first of every `interval` steps; 0 and 1 keep nothing.
    pub fn for_steps(interval: usize) -> Self {
        Self { interval, features: Vec::new() }
    }

    /// Nothing is kept.
    pub fn nothing() -> Self {
        Self::for_steps(1)
    }

    /// Whether passes are to give out their features.
    pub(super) fn wants(&self) -> bool {
        self.interval > 1
    }

    /// The features for passes that run as one batch, one after another; nothing if one of them must be made anew.
    pub(super) fn of(
        &self,
        input: Input<'_>,
        passes: &[Pass],
        texts: &[&Conditioning],
    ) -> Result<Option<ArrayD<f32>>, PassError> {
        let found = passes.iter().zip(texts).map(|(pass, text)| {
            let feature = self.features.iter().find(|feature| feature.pass == *pass)?;
            feature.serves(input, text, self.interval).then(|| feature.value.view())
        });
        let Some(found) = found.collect::<Option<Vec<_>>>() else { return Ok(None) };
        concatenate(Axis(0), &found).map(Some).map_err(wrong)
    }

    /// Keeps what a batch of passes gave out.
    pub(super) fn keep(&mut self, input: Input<'_>, passes: &[Pass], texts: &[&'a Conditioning], all: &ArrayD<f32>) {
        let pictures = all.len_of(Axis(0)) / passes.len().max(1);
        for (place, (&pass, &text)) in passes.iter().zip(texts).enumerate() {
            let rows = Slice::from(place * pictures..(place + 1) * pictures);
            let value = all.slice_axis(Axis(0), rows).to_owned();
            self.features.retain(|feature| feature.pass != pass);
            self.features.push(Feature { pass, text, step: input.step, timestep: input.timestep, value });
        }
    }
}

impl Feature<'_> {
    /// Whether it can stand in: in the steps after its own, on the way down, and for the same text. Samplers that ask more
    /// than once in a step make all of its passes alike.
    fn serves(&self, input: Input<'_>, text: &Conditioning, interval: usize) -> bool {
        let is_later = (self.step + 1..self.step + interval).contains(&input.step);
        is_later && input.timestep <= self.timestep && ptr::eq(self.text, text)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4};

    use super::*;

    fn text() -> Conditioning {
        Conditioning { context: Array3::zeros([1, 1, 1]), pooled: None }
    }

    /// Keeps the features of step 2 at timestep 500 of two passes of two pictures, and says what is found for a question.
    fn found(interval: usize, (step, timestep): (usize, f64), passes: &[usize], same_text: bool) -> Option<Vec<f32>> {
        let (latents, texts, other) = (Array4::zeros([2, 4, 1, 1]), [text(), text()], text());
        let input = |step, timestep| Input { latents: &latents, timestep, step, steps: 9, progress: 0.0 };
        let mut kept = Kept::for_steps(interval);
        let all = ArrayD::from_shape_fn(vec![4, 1, 1, 1], |place| place[0] as f32);
        let both = [Pass::Unconditional, Pass::Conditional(0)];
        kept.keep(input(2, 500.0), &both, &[&texts[0], &texts[1]], &all);
        let asked: Vec<Pass> =
            passes.iter().map(|pass| if *pass < 2 { both[*pass] } else { Pass::Conditional(1) }).collect();
        let texts: Vec<&Conditioning> =
            passes.iter().map(|pass| if same_text { texts.get(*pass).unwrap_or(&other) } else { &other }).collect();
        kept.of(input(step, timestep), &asked, &texts).unwrap().map(|value| value.iter().copied().collect())
    }

    #[test]
    fn features_are_found_for_the_steps_that_follow_in_the_order_of_the_passes() {
        assert_eq!(found(3, (3, 400.0), &[0, 1], true), Some(vec![0.0, 1.0, 2.0, 3.0]));
        assert_eq!(found(3, (4, 300.0), &[1], true), Some(vec![2.0, 3.0]));
        assert_eq!(found(3, (5, 200.0), &[0, 1], true), None);
        assert_eq!(found(2, (4, 300.0), &[0, 1], true), None);
    }

    #[test]
    fn every_pass_of_a_whole_step_is_whole() {
        assert_eq!(found(3, (2, 500.0), &[0, 1], true), None);
        assert!(!Kept::nothing().wants() && Kept::for_steps(2).wants());
    }

    #[test]
    fn more_noise_another_text_and_a_new_pass_need_the_deep_layers() {
        assert_eq!(found(3, (3, 600.0), &[0, 1], true), None);
        assert_eq!(found(3, (3, 400.0), &[0, 1], false), None);
        assert_eq!(found(3, (3, 400.0), &[0, 2], true), None);
    }
}
