//! What holds for every text, tried with texts at random.

use super::*;

/// What prompts at random are put together from.
const PARTS: [&str; 30] = [
    "(",
    "(",
    "[",
    "[",
    ")",
    ")",
    "]",
    "]",
    ":",
    "|",
    "\\",
    "<",
    ">",
    ":1.3)",
    ":5]",
    ":0.3]",
    " BREAK ",
    " AND ",
    "a",
    "bc",
    " ",
    ", ",
    "<lora:x:0.5>",
    "<dreamartist:d>",
    "é",
    "\u{3000}",
    "猫",
    "1",
    "-",
    "\u{0}",
];

/// A row of texts that is the same at every run (a linear congruential generator, Knuth's numbers).
fn texts(count: usize) -> impl Iterator<Item = String> {
    let mut state = 2024_u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    (0..count).map(move |_| (0..draw(24)).map(|_| PARTS[draw(PARTS.len())]).collect())
}

fn parse(text: &str) -> Prompt {
    Prompt::parse(text, Syntax::Weighted)
}

/// The first thing about a prompt that must not be.
fn fault(prompt: &Prompt, steps: usize) -> Option<&'static str> {
    if prompt.conditions().is_empty() {
        return Some("no condition");
    }
    for condition in prompt.conditions() {
        let all: Vec<_> = (0..steps).map(|step| condition.at(step, steps)).collect();
        let line = condition.timeline(steps);
        if line.iter().flat_map(|(range, spans)| range.clone().map(move |_| spans)).ne(&all) {
            return Some("a timeline that is not its steps");
        }
        let weight = |span: &Span| if let Span::Text { weight, .. } = span { Some(*weight) } else { None };
        let alike = |pair: &[Span]| weight(&pair[0]).is_some() && weight(&pair[0]) == weight(&pair[1]);
        if all.iter().any(|spans| spans.windows(2).any(alike)) {
            return Some("neighbours of the same weight");
        }
        if all.iter().flatten().any(|span| matches!(span, Span::Text { text, .. } if text.is_empty())) {
            return Some("an empty span");
        }
        if !condition.weight.is_finite() || all.iter().flatten().filter_map(weight).any(|weight| !weight.is_finite()) {
            return Some("a weight that is not finite");
        }
    }
    None
}

#[test]
fn every_text_is_a_prompt() {
    for text in texts(5_000) {
        for prompt in
            [parse(&text), Prompt::parse_negative(&text, Syntax::Weighted), Prompt::parse(&text, Syntax::Plain)]
        {
            assert_eq!(fault(&prompt, 7), None, "{text:?}");
            assert_eq!(prompt.text(), text);
        }
    }
    assert_eq!(fault(&parse("a").with_embedding("b", f32::NAN), 7), Some("a weight that is not finite"));
}

#[test]
fn an_escaped_text_is_read_as_it_stands() {
    for text in texts(5_000).filter(|text| !text.is_empty()) {
        let plain = [Span::Text { text: text.clone(), weight: 1.0 }];
        let prompt = parse(&escape(&text));
        assert_eq!((prompt.conditions()[0].at(0, 1), prompt.conditions().len()), (plain.to_vec(), 1), "{text:?}");
        let edited = parse(&format!("[{}:x:5]", escape(&text)));
        assert_eq!(edited.conditions()[0].at(0, 10), plain, "{text:?}");
    }
    assert_ne!(parse("(a)").conditions()[0].at(0, 1), parse(&escape("(a)")).conditions()[0].at(0, 1));
}

#[test]
fn spans_written_as_a_prompt_are_read_as_the_same_spans() {
    for text in texts(5_000) {
        let spans = parse(&text).conditions()[0].at(2, 7);
        let written = |span: &Span| match span {
            Span::Text { text, weight } => format!("({}:{weight})", escape(text)),
            Span::Break => " BREAK ".to_owned(),
        };
        let again: String = spans.iter().map(written).collect();
        assert_eq!(parse(&again).conditions()[0].at(0, 1), spans, "{text:?} {again:?}");
    }
}

#[test]
fn deep_and_long_markup_is_read_in_linear_time() {
    let parts = [
        "(", "[", "[a|", "[a:", "(a:", "(a", "<lora:", "<", "\\", "a:1)", "[a:b:5]", "[a|b]", "a AND ", "BREAK ", "[(",
        "([a|b]",
    ];
    for part in parts {
        let text = part.repeat(60_000 / part.len());
        let prompt = parse(&text);
        assert!(!prompt.conditions()[0].at(3, 7).is_empty() || part == "<lora:" || part == "[(", "{part}");
        drop(parse(&format!("{text}{}", "]".repeat(30_000))));
        drop(parse(&format!("{text}{}", ":1.1)".repeat(6_000))));
    }
    let prompt = parse(&"([a|".repeat(1000));
    assert_eq!(fault(&prompt, 150), None);
}
