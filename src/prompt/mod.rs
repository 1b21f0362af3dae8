//! The prompt language: text to weighted spans, edits over the steps, conditions and adapter references. Pure.
//!
//! A text is parsed once: tokens (`lexer`) become a tree of spans, edits and alternations (`parser`), one a condition.
//! Every text parses; markup that is malformed is taken literally. The grammar stands in `docs/prompts.md`.
//! What a text encoder is given is made from token ids by `chunks`, and `emphasis` weighs what it gives back.

pub mod chunks;
mod condition;
pub mod emphasis;
#[cfg(test)]
mod golden;
mod lexer;
pub mod names;
mod parser;
#[cfg(test)]
mod properties;
mod reference;
#[cfg(test)]
mod tests;

pub use condition::{Condition, Span};
pub use lexer::escape;
pub use reference::{Kind, Reference};

/// How a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// With the markup of the common web interfaces.
    #[default]
    Weighted,
    /// As it stands: nothing is markup.
    Plain,
}

impl Syntax {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Weighted, Self::Plain];

    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Plain => "plain",
        }
    }

    /// The syntax with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|syntax| syntax.name() == name)
    }
}

/// A text that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    text: String,
    syntax: Syntax,
    conditions: Vec<Condition>,
    references: Vec<Reference>,
}

impl Prompt {
    /// Reads a prompt; any text is one.
    pub fn parse(text: &str, syntax: Syntax) -> Self {
        Self::read(text, syntax, true)
    }

    /// Reads a negative prompt: one condition, in which `AND` is a word like any other.
    pub fn parse_negative(text: &str, syntax: Syntax) -> Self {
        Self::read(text, syntax, false)
    }

    fn read(text: &str, syntax: Syntax, composed: bool) -> Self {
        let (conditions, references) = match syntax {
            Syntax::Weighted => {
                let (tokens, references) = lexer::tokens(text, composed);
                (parser::conditions(&tokens), references)
            }
            Syntax::Plain => (vec![Condition::plain(text)], Vec::new()),
        };
        Self { text: text.to_owned(), syntax, conditions, references }
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it was read.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// What stands between the `AND`s: at least one.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The adapters that the text names, in its order; the same one may be there twice.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The same prompt with an embedding's name at the end of each of its conditions; its text stays as it was given.
    pub fn with_embedding(mut self, name: &str, weight: f32) -> Self {
        let span = Span::Text { text: apart(name), weight };
        self.conditions.iter_mut().for_each(|condition| condition.push(span.clone()));
        self
    }
}

/// An embedding's name with blanks, which keep its tokens apart from those of its neighbours.
fn apart(name: &str) -> String {
    format!(" {name} ")
}
