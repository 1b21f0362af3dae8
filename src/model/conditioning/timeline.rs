//! Texts that change over a run.

use std::sync::Arc;

use super::Conditioning;

/// What the U-Net is conditioned on over a run: one text, or others in its place from some step on.
#[derive(Clone, Debug)]
pub struct Timeline {
    first: Arc<Conditioning>,
    /// Each with the share of the run after which it takes over, in order.
    later: Vec<(f64, Arc<Conditioning>)>,
}

/// Shares of a run that are nearer than this are the same.
const ROUNDING: f64 = 1e-9;

impl Timeline {
    /// The same from beginning to end.
    pub fn constant(text: Conditioning) -> Self {
        Self { first: Arc::new(text), later: Vec::new() }
    }

    /// From `share` of the run on, 0 to 1, `text` takes the place of what was there before.
    pub fn then(mut self, share: f64, text: Arc<Conditioning>) -> Self {
        self.later.push((share, text));
        self
    }

    /// What holds when so much of the run is done, 0 to 1.
    pub fn at(&self, progress: f64) -> &Conditioning {
        let begun = self.later.iter().rev().find(|(share, _)| *share <= progress + ROUNDING);
        begun.map_or(&self.first, |(_, text)| text)
    }
}

impl From<Arc<Conditioning>> for Timeline {
    fn from(first: Arc<Conditioning>) -> Self {
        Self { first, later: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_text_holds_until_the_next_one_takes_over() {
        let text = |value| Arc::new(Conditioning { context: Array3::from_elem([1, 1, 1], value), pooled: None });
        let timeline = Timeline::from(text(0.0)).then(0.3, text(1.0)).then(0.7, text(2.0));
        let seen = (0..10).map(|step| timeline.at(f64::from(step) / 10.0).context[[0, 0, 0]]);
        assert_eq!(seen.collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    }
}
