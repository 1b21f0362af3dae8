//! One condition of a prompt: spans of text, some of which change with the steps.

use std::hash::{Hash, Hasher};
use std::ops::Range;

/// A piece of what a text encoder is given.
#[derive(Clone, Debug)]
pub enum Span {
    /// Text of one weight; never empty, and next to no other text of the same weight.
    Text {
        /// The text, without markup.
        text: String,
        /// How much it counts: 1 is no emphasis. Finite.
        weight: f32,
    },
    /// The end of a chunk.
    Break,
}

impl Span {
    /// What tells spans apart: weights count by their bits, so spans can be keys.
    fn key(&self) -> Option<(&str, u32)> {
        match self {
            Self::Text { text, weight } => Some((text, weight.to_bits())),
            Self::Break => None,
        }
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Span {}

impl Hash for Span {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// What the picture is guided by, with its weight among the prompt's conditions.
///
/// Guidance adds `weight` times the scale times the difference to the negative prompt for each of them
/// (Liu et al. 2022, composable diffusion).
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// 1 unless the text says otherwise; may be negative. Finite.
    pub weight: f32,
    /// All spans there ever are; the nodes hold their places here.
    spans: Vec<Span>,
    nodes: Vec<Node>,
}

impl Condition {
    /// Each place that the nodes hold must be one of the spans.
    pub(super) fn new(weight: f32, spans: Vec<Span>, nodes: Vec<Node>) -> Self {
        Self { weight, spans, nodes }
    }

    /// A text that is the same at all steps.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(1.0, vec![Span::Text { text: text.to_owned(), weight: 1.0 }], vec![Node::Span(0)])
    }

    /// The spans at a step, counted from 0, of so many; none where there is no text.
    pub fn at(&self, step: usize, steps: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        self.add_all(&self.nodes, &mut spans, step, steps);
        spans
    }

    /// Whether all steps have the same spans, however many there are.
    pub fn is_constant(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Span(_)))
    }

    /// The spans of all steps: stretches of steps with the same spans, in order and without gaps.
    pub fn timeline(&self, steps: usize) -> Vec<(Range<usize>, Vec<Span>)> {
        if self.is_constant() {
            return vec![(0..steps, self.at(0, steps))];
        }
        let mut stretches: Vec<(Range<usize>, Vec<Span>)> = Vec::new();
        for step in 0..steps {
            let spans = self.at(step, steps);
            match stretches.last_mut() {
                Some((range, last)) if *last == spans => range.end = step + 1,
                _ => stretches.push((step..step + 1, spans)),
            }
        }
        stretches
    }

    pub(super) fn push(&mut self, span: Span) {
        self.nodes.push(Node::Span(self.spans.len()));
        self.spans.push(span);
    }

    fn add_all(&self, nodes: &[Node], spans: &mut Vec<Span>, step: usize, steps: usize) {
        for node in nodes {
            let chosen = match node {
                Node::Span(place) => {
                    add(spans, &self.spans[*place]);
                    continue;
                }
                Node::Edit { before, when, .. } if step < when.steps_before(steps) => before,
                Node::Edit { after, .. } => after,
                Node::Alternate(options) => &options[step % options.len()],
            };
            self.add_all(chosen, spans, step, steps);
        }
    }
}

/// A part of a condition. Nesting is limited by the parser.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// The place of a span.
    Span(usize),
    /// `before` in the first steps, `after` in the others.
    Edit { before: Vec<Node>, after: Vec<Node>, when: When },
    /// One option a step, in turn; at least two.
    Alternate(Vec<Vec<Node>>),
}

/// Adds a span, joined to the last one if both are text of the same weight.
fn add(spans: &mut Vec<Span>, span: &Span) {
    match (spans.last_mut(), span) {
        (_, Span::Text { text, .. }) if text.is_empty() => {}
        (Some(Span::Text { text, weight }), Span::Text { text: more, weight: same }) if weight == same => {
            text.push_str(more);
        }
        _ => spans.push(span.clone()),
    }
}

/// The moment of an edit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum When {
    /// After this share of the steps, rounded down.
    Share(f64),
    /// After so many steps.
    Steps(f64),
}

impl When {
    /// How many steps are made before the edit.
    fn steps_before(self, steps: usize) -> usize {
        let count = match self {
            Self::Share(share) => share * steps as f64,
            Self::Steps(count) => count,
        };
        // The cast cuts off the fraction and takes negative numbers for 0.
        (count as usize).min(steps)
    }
}
