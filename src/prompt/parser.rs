//! From tokens to conditions: a tree of spans, edits and alternations, with the weight of each span worked out.

use super::apart;
use super::condition::{Condition, Node, Span, When};
use super::lexer::{Bracket, Separator, Token, number};

/// So many brackets of one kind may be open at once; one more is text. This bounds depth and time.
const DEEPEST: usize = 64;

/// What a pair of round brackets multiplies a weight by, and a pair of square ones divides it by.
const EMPHASIS: f64 = 1.1;

/// Reads the tokens of a prompt; one condition more than there are `AND`s.
pub(super) fn conditions(tokens: &[Token]) -> Vec<Condition> {
    let parts: Vec<&[Token]> = tokens.split(|token| *token == Token::And).collect();
    let composed = parts.len() > 1;
    let read = |tokens| {
        let (tokens, weight) = if composed { weighted(tokens) } else { (tokens, 1.0) };
        condition(tokens, weight)
    };
    parts.into_iter().map(read).collect()
}

/// Takes the `:weight` from the end of a condition among several.
fn weighted(tokens: &[Token]) -> (&[Token], f32) {
    if let [before @ .., Token::Separator(Separator::Colon), Token::Text(text)] = tokens
        && let Some(weight) = number(text.trim())
    {
        return (before, weight as f32);
    }
    (tokens, 1.0)
}

fn condition(mut tokens: &[Token], weight: f32) -> Condition {
    let mut parser = Parser::default();
    while let [token, rest @ ..] = tokens {
        tokens = rest;
        // The weight of `(x:1.3)` is told by what follows the colon, whatever brackets are open besides.
        if let (Token::Separator(Separator::Colon), [Token::Text(text), Token::Close(Bracket::Round), rest @ ..]) =
            (token, rest)
            && let Some(factor) = number(text.trim())
            && parser.close_round(factor)
        {
            tokens = rest;
        } else {
            parser.take(token);
        }
    }
    parser.finish(weight)
}

/// Brackets of one kind know nothing of the other kind where weights are concerned, as in the common web interface:
/// each multiplies the leaves since its opening. Only edits and alternations need brackets that are paired well.
#[derive(Default)]
struct Parser {
    /// Texts, none for the end of a chunk, with their weights so far.
    leaves: Vec<(Option<String>, f64)>,
    /// The first leaf within each open round bracket.
    rounds: Vec<usize>,
    squares: Vec<Square>,
    /// What stands in no square bracket.
    nodes: Vec<Node>,
}

/// A square bracket that is open.
struct Square {
    nodes: Vec<Node>,
    /// Separators between its own parts, with the place of each one's leaf among the nodes.
    separators: Vec<(Separator, usize)>,
    /// The first leaf within.
    first: usize,
    /// How many round brackets were open before.
    rounds: usize,
    /// Whether a round bracket was closed within but not opened, or opened but not closed.
    crossed: bool,
}

impl Parser {
    fn take(&mut self, token: &Token) {
        match token {
            Token::Text(text) => self.leaf(text, 1.0),
            Token::Embedding(name, weight) => self.leaf(&apart(name), f64::from(*weight)),
            Token::Separator(separator) => self.separate(*separator),
            Token::Open(Bracket::Round) if self.rounds.len() < DEEPEST => self.rounds.push(self.leaves.len()),
            Token::Open(Bracket::Round) => self.leaf("(", 1.0),
            Token::Open(Bracket::Square) if self.squares.len() < DEEPEST => self.open_square(),
            Token::Open(Bracket::Square) => self.leaf("[", 1.0),
            Token::Close(Bracket::Round) if self.close_round(EMPHASIS) => {}
            Token::Close(Bracket::Round) => self.leaf(")", 1.0),
            Token::Close(Bracket::Square) => self.close_square(),
            // Conditions were split there.
            Token::And => {}
            Token::Break => self.add(None, 1.0),
        }
    }

    fn leaf(&mut self, text: &str, weight: f64) {
        self.add(Some(text.to_owned()), weight);
    }

    fn add(&mut self, text: Option<String>, weight: f64) {
        let node = Node::Span(self.leaves.len());
        self.leaves.push((text, weight));
        self.nodes().push(node);
    }

    /// The nodes of the innermost bracket.
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.squares.last_mut().map_or(&mut self.nodes, |square| &mut square.nodes)
    }

    fn separate(&mut self, separator: Separator) {
        let rounds = self.rounds.len();
        if let Some(square) = self.squares.last_mut().filter(|square| square.rounds == rounds) {
            square.separators.push((separator, square.nodes.len()));
        }
        self.leaf(if separator == Separator::Colon { ":" } else { "|" }, 1.0);
    }

    fn open_square(&mut self) {
        let (first, rounds) = (self.leaves.len(), self.rounds.len());
        self.squares.push(Square { nodes: Vec::new(), separators: Vec::new(), first, rounds, crossed: false });
    }

    /// False if no round bracket is open.
    fn close_round(&mut self, factor: f64) -> bool {
        let Some(first) = self.rounds.pop() else { return false };
        self.multiply(first, factor);
        let open = self.rounds.len();
        self.squares
            .iter_mut()
            .rev()
            .take_while(|square| square.rounds > open)
            .for_each(|square| square.crossed = true);
        true
    }

    fn close_square(&mut self) {
        let Some(mut square) = self.squares.pop() else { return self.leaf("]", 1.0) };
        square.crossed |= square.rounds != self.rounds.len();
        if let Some(change) = self.change(&square) {
            let node = change.of(square.parts());
            return self.nodes().push(node);
        }
        self.multiply(square.first, 1.0 / EMPHASIS);
        self.nodes().append(&mut square.nodes);
        if let Some(outer) = self.squares.last_mut() {
            outer.crossed |= square.crossed;
        }
    }

    /// What a square bracket is if it is more than a weight.
    fn change(&self, square: &Square) -> Option<Change> {
        let colons = square.separators.iter().filter(|(separator, _)| *separator == Separator::Colon).count();
        match (colons, square.separators.len() - colons) {
            _ if square.crossed => None,
            (0, 1..) => Some(Change::Alternate),
            (1..=2, 0) => self.when(square).map(Change::Edit),
            _ => None,
        }
    }

    /// The number after the last colon: with a point it is a share of the steps.
    fn when(&self, square: &Square) -> Option<When> {
        let (_, colon) = square.separators.last()?;
        let [Node::Span(leaf)] = square.nodes[colon + 1..] else { return None };
        let text = self.leaves[leaf].0.as_deref()?.trim();
        let value = number(text)?;
        Some(if text.contains('.') { When::Share(value) } else { When::Steps(value) })
    }

    fn multiply(&mut self, first: usize, factor: f64) {
        let limit = f64::from(f32::MAX);
        self.leaves[first..].iter_mut().for_each(|(_, weight)| *weight = (*weight * factor).clamp(-limit, limit));
    }

    /// Brackets that are still open reach to the end.
    fn finish(mut self, weight: f32) -> Condition {
        for first in std::mem::take(&mut self.rounds) {
            self.multiply(first, EMPHASIS);
        }
        for mut square in std::mem::take(&mut self.squares) {
            self.multiply(square.first, 1.0 / EMPHASIS);
            self.nodes.append(&mut square.nodes);
        }
        let span = |(text, weight): (Option<String>, f64)| match text {
            Some(text) => Span::Text { text, weight: weight as f32 },
            None => Span::Break,
        };
        Condition::new(weight, self.leaves.into_iter().map(span).collect(), self.nodes)
    }
}

impl Square {
    /// The nodes between the separators.
    fn parts(mut self) -> Vec<Vec<Node>> {
        let mut parts = Vec::new();
        for (_, place) in self.separators.into_iter().rev() {
            parts.push(self.nodes.split_off(place + 1));
            self.nodes.truncate(place);
        }
        parts.push(self.nodes);
        parts.reverse();
        parts
    }
}

/// What a square bracket does over the steps.
enum Change {
    Edit(When),
    Alternate,
}

impl Change {
    fn of(self, parts: Vec<Vec<Node>>) -> Node {
        match self {
            Self::Alternate => Node::Alternate(parts),
            Self::Edit(when) => {
                // The last part is the number.
                let mut texts = parts.into_iter().rev().skip(1);
                let (after, before) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
                Node::Edit { before, after, when }
            }
        }
    }
}
