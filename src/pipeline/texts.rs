//! What the prompts of a recipe become: a text for each condition, or several that take turns over the run.

use std::sync::Arc;

use super::fault::failure;
use super::sets::Set;
use super::trace::Trace;
use crate::job::{Failure, Recipe, Watch};
use crate::model::{Conditioning, Encoded, TextEncoders, Timeline};
use crate::prompt::{Condition, Prompt, Syntax};

/// What prompt and negative prompt mean to the model.
pub(super) struct Texts {
    /// One for each part of a composed prompt.
    pub(super) conditional: Vec<Timeline>,
    /// Absent where guidance never looks at it.
    pub(super) unconditional: Option<Timeline>,
}

/// The texts of a condition, each with the step at which it begins.
type Encodings = Vec<(usize, Arc<Encoded>)>;

/// Encodes the prompts; each different text of an edit once, however often it comes again.
pub(super) fn texts(
    set: &Set,
    recipe: &Recipe,
    guided: bool,
    watch: &dyn Watch,
    trace: &mut Trace,
) -> Result<Texts, Failure> {
    let steps = usize::from(recipe.steps.get());
    let encoder = Encoder { texts: &set.texts, steps, watch };
    let conditional = encoder.prompt(&recipe.prompt)?;
    let negative = recipe.whole_negative_prompt();
    let unconditional = if guided { encoder.prompt(&negative)? } else { Vec::new() };
    let all = conditional.iter().chain(&unconditional).flatten();
    let chunks = all.map(|(_, text)| text.chunks).chain(set.most_chunks).max().unwrap_or(1);
    // An empty negative prompt is nothing at all for models that were trained so.
    let nothing = set.zeros_for_empty && recipe.negative_prompt.text().is_empty() && negative == recipe.negative_prompt;
    let conditional = (0..).zip(&conditional).map(|(index, texts)| {
        let name = if index == 0 { "conditional".to_owned() } else { format!("conditional.{index}") };
        encoder.timeline(texts, chunks, false, &name, trace)
    });
    Ok(Texts {
        conditional: conditional.collect::<Result<_, _>>()?,
        unconditional: match unconditional.first() {
            Some(texts) => Some(encoder.timeline(texts, chunks, nothing, "unconditional", trace)?),
            None => None,
        },
    })
}

struct Encoder<'a> {
    texts: &'a TextEncoders,
    steps: usize,
    watch: &'a dyn Watch,
}

impl Encoder<'_> {
    fn prompt(&self, prompt: &Prompt) -> Result<Vec<Encodings>, Failure> {
        prompt.conditions().iter().map(|condition| self.condition(condition, prompt.syntax())).collect()
    }

    fn condition(&self, condition: &Condition, syntax: Syntax) -> Result<Encodings, Failure> {
        let parts = condition.timeline(self.steps).into_iter();
        let encoded = parts.map(|(range, spans)| Ok((range.start, self.texts.encode(&spans, syntax, self.watch)?)));
        encoded.collect::<Result<_, _>>().map_err(failure)
    }

    /// All texts of one length, in the order in which they hold.
    fn timeline(
        &self,
        texts: &Encodings,
        chunks: usize,
        nothing: bool,
        name: &str,
        trace: &mut Trace,
    ) -> Result<Timeline, Failure> {
        let mut timeline: Option<Timeline> = None;
        let mut filled: Vec<(&Arc<Encoded>, Arc<Conditioning>)> = Vec::new();
        for (start, text) in texts {
            // Alternation comes back to the same texts; each is held once.
            let known = filled.iter().find(|(known, _)| Arc::ptr_eq(known, text)).map(|(_, padded)| Arc::clone(padded));
            let padded = match known {
                Some(padded) => padded,
                None => {
                    let padded = self.filled(text, chunks, nothing)?;
                    filled.push((text, Arc::clone(&padded)));
                    padded
                }
            };
            match *start {
                0 => trace.keep_text(name, &text.tokens, &padded),
                step => trace.keep_text(&format!("{name}@{step}"), &text.tokens, &padded),
            }
            let share = *start as f64 / self.steps as f64;
            timeline = Some(match timeline {
                None => Timeline::from(padded),
                Some(timeline) => timeline.then(share, padded),
            });
        }
        timeline.ok_or_else(|| super::fault::internal("a prompt must hold for some step"))
    }

    /// A text of the given length; or nothing at all of it.
    fn filled(&self, text: &Encoded, chunks: usize, nothing: bool) -> Result<Arc<Conditioning>, Failure> {
        let padded = self.texts.padded(text, chunks, self.watch).map_err(failure)?;
        Ok(Arc::new(if nothing { padded.zeroed() } else { padded }))
    }
}
