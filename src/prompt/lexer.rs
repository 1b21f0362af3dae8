//! From a prompt's characters to tokens: words, markup characters, and the adapters that it names.

use super::reference::{Kind, Reference};

/// What a prompt is made of once its references are taken out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text without markup, escapes undone; next to no other text.
    Text(String),
    /// `(` or `[`.
    Open(Bracket),
    /// `)` or `]`.
    Close(Bracket),
    /// `:` or `|`.
    Separator(Separator),
    /// The name of an embedding, with its weight.
    Embedding(String, f32),
    /// The word `BREAK`.
    Break,
    /// The word `AND`.
    And,
}

/// The two kinds of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
}

/// What stands between the parts of a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Colon,
    Pipe,
}

/// Characters that a backslash makes ordinary.
const MARKUP: [char; 8] = ['(', ')', '[', ']', '\\', '<', ':', '|'];

/// Closes a chunk.
const BREAK: &str = "BREAK";
/// Stands between conditions.
const AND: &str = "AND";

/// A text with everything escaped that could be markup, so that it is read as it stands wherever it is put.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        if MARKUP.contains(&letter) || word_at(text, at).is_some() {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Splits a prompt into tokens and the adapters that it names; `AND` is a word like any other unless `composed`.
pub(super) fn tokens(text: &str, composed: bool) -> (Vec<Token>, Vec<Reference>) {
    let mut found = Found { tokens: Vec::new(), references: Vec::new() };
    let mut rest = 0;
    while let Some(letter) = text[rest..].chars().next() {
        let next = rest + letter.len_utf8();
        rest = match letter {
            '\\' => found.escaped(text, next),
            '<' => found.reference(text, next),
            _ => match word_at(text, rest) {
                Some(BREAK) => found.pause(text, rest + BREAK.len()),
                Some(AND) if composed => found.and(rest + AND.len()),
                _ => found.letter(letter, next),
            },
        };
    }
    (found.tokens, found.references)
}

/// A decimal number as the markup has it: a sign perhaps, digits, a point perhaps; finite as a 32-bit float.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|number: &f64| plain && number.abs() <= f64::from(f32::MAX))
}

/// What was read so far. Each method takes one thing that starts before `next` and says where to go on.
struct Found {
    tokens: Vec<Token>,
    references: Vec<Reference>,
}

impl Found {
    fn letter(&mut self, letter: char, next: usize) -> usize {
        match letter {
            '(' => self.tokens.push(Token::Open(Bracket::Round)),
            '[' => self.tokens.push(Token::Open(Bracket::Square)),
            ')' => self.tokens.push(Token::Close(Bracket::Round)),
            ']' => self.tokens.push(Token::Close(Bracket::Square)),
            ':' => self.tokens.push(Token::Separator(Separator::Colon)),
            '|' => self.tokens.push(Token::Separator(Separator::Pipe)),
            _ => self.text(letter),
        }
        next
    }

    /// A backslash before anything but markup is a backslash.
    fn escaped(&mut self, text: &str, next: usize) -> usize {
        if let Some(letter) = text[next..].chars().next().filter(|letter| MARKUP.contains(letter)) {
            self.text(letter);
            return next + letter.len_utf8();
        }
        if let Some(word) = word_at(text, next) {
            word.chars().for_each(|letter| self.text(letter));
            return next + word.len();
        }
        self.text('\\');
        next
    }

    /// What is no reference of a known kind is text.
    fn reference(&mut self, text: &str, next: usize) -> usize {
        let inside = text[next..].split(['>', '<']).next().unwrap_or_default();
        let end = next + inside.len();
        let Some(reference) = text[end..].starts_with('>').then(|| Reference::read(inside)).flatten() else {
            self.text('<');
            return next;
        };
        if reference.kind == Kind::DreamArtist {
            self.tokens.push(Token::Embedding(reference.name.clone(), reference.scale));
        }
        self.references.push(reference);
        end + 1
    }

    /// Blanks around a `BREAK` belong to it.
    fn pause(&mut self, text: &str, next: usize) -> usize {
        if let Some(Token::Text(before)) = self.tokens.last_mut() {
            before.truncate(before.trim_end().len());
        }
        self.tokens.push(Token::Break);
        text.len() - text[next..].trim_start().len()
    }

    fn and(&mut self, next: usize) -> usize {
        self.tokens.push(Token::And);
        next
    }

    fn text(&mut self, letter: char) {
        match self.tokens.last_mut() {
            Some(Token::Text(text)) => text.push(letter),
            _ => self.tokens.push(Token::Text(letter.to_string())),
        }
    }
}

/// The markup word that stands at a place, alone: no letter, digit or underscore touches it.
fn word_at(text: &str, at: usize) -> Option<&'static str> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let word = [BREAK, AND].into_iter().find(|word| text[at..].starts_with(word))?;
    let alone = !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word);
    alone.then_some(word)
}
