//! Tests of the prompt language. What the common web interface makes of a prompt was taken from its own examples.

use super::*;

fn text(text: &str, weight: f32) -> Span {
    Span::Text { text: text.to_owned(), weight }
}

fn parse(prompt: &str) -> Prompt {
    Prompt::parse(prompt, Syntax::Weighted)
}

/// The spans of a prompt that is the same at all steps.
fn spans(prompt: &str) -> Vec<Span> {
    let prompt = parse(prompt);
    let [condition] = prompt.conditions() else { panic!("{:?}", prompt.conditions()) };
    assert!(condition.is_constant());
    condition.at(0, 10)
}

/// Until which of 10 steps there are which spans, as text and weight.
fn schedule(prompt: &str) -> Vec<(usize, String)> {
    let shown = |span: &Span| match span {
        Span::Text { text, weight: 1.0 } => text.clone(),
        Span::Text { text, weight } => format!("({text}:{weight:.3})"),
        Span::Break => "BREAK".to_owned(),
    };
    let line = parse(prompt).conditions()[0].timeline(10).into_iter();
    line.map(|(range, spans)| (range.end, spans.iter().map(shown).collect())).collect()
}

#[test]
fn brackets_weigh_as_in_the_web_interface() {
    let cases = [
        ("normal text", vec![text("normal text", 1.0)]),
        ("an (important) word", vec![text("an ", 1.0), text("important", 1.1), text(" word", 1.0)]),
        ("(unbalanced", vec![text("unbalanced", 1.1)]),
        (r"\(literal\]", vec![text("(literal]", 1.0)]),
        ("(unnecessary)(parens)", vec![text("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            vec![
                text("a ", 1.0),
                text("house", 1.573),
                text(" ", 1.1),
                text("on", 1.0),
                text(" a ", 1.1),
                text("hill", 0.55),
                text(", sun, ", 1.1),
                text("sky", 1.4641),
                text(".", 1.1),
            ],
        ),
        ("(a:b:1.3)", vec![text("a:b", 1.3)]),
        ("(a: -.5 )", vec![text("a", -0.5)]),
        ("(a [b) c]", vec![text("a ", 1.1), text("b", 1.0), text(" c", 1.0 / 1.1)]),
        ("", vec![]),
    ];
    for (prompt, expected) in cases {
        let found = spans(prompt);
        let near = |(a, b): (&Span, &Span)| match (a, b) {
            (Span::Text { text, weight }, Span::Text { text: other, weight: expected }) => {
                text == other && (weight - expected).abs() < 1e-6
            }
            _ => a == b,
        };
        assert!(found.len() == expected.len() && found.iter().zip(&expected).all(near), "{prompt}: {found:?}");
    }
}

#[test]
fn malformed_markup_is_text() {
    let cases = [
        (r"a :) b ] \ c:1.3) | d:e", r"a :) b ] \ c:1.3) | d:e"),
        ("16:9", "16:9"),
        (r"C:\path \n", r"C:\path \n"),
        (r"\[a\|b\:3\] \\ \<lora:x>", r"[a|b:3] \ <lora:x>"),
        (r"\AND \BREAK BREAKER HAND _AND AND1", "AND BREAK BREAKER HAND _AND AND1"),
    ];
    for (prompt, expected) in cases {
        assert_eq!(spans(prompt), [text(expected, 1.0)]);
    }
    assert_eq!(spans("[a:b:c]"), [text("a:b:c", (1.0 / 1.1_f64) as f32)]);
    assert_eq!(spans("(a:1.2.3)"), [text("a:1.2.3", 1.1)]);
    assert_eq!(spans(&format!("(a:{})", "9".repeat(40))), [text(&format!("a:{}", "9".repeat(40)), 1.1)]);
}

#[test]
fn edits_and_alternations_follow_the_steps_as_in_the_web_interface() {
    let cases: [(&str, &[(usize, &str)]); 24] = [
        ("test", &[(10, "test")]),
        ("a [b:3]", &[(3, "a "), (10, "a b")]),
        ("a [b: 3 ]", &[(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", &[(2, "a "), (10, "a (b:0.826)")]),
        ("[(a:2):3]", &[(3, ""), (10, "(a:2.000)")]),
        ("a [b : c : 1] d", &[(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", &[(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", &[(10, "a (unbalanced:0.909)")]),
        ("a [b:.5] c", &[(5, "a  c"), (10, "a b c")]),
        ("((a][:b:c [d:3]", &[(3, "(a]:1.210)(:b:c :1.100)"), (10, "(a]:1.210)(:b:c d:1.100)")]),
        (
            "[a|(b:1.1)|(b:1.1)]",
            &[(1, "a"), (3, "(b:1.100)"), (4, "a"), (6, "(b:1.100)"), (7, "a"), (9, "(b:1.100)"), (10, "a")],
        ),
        (
            "[fe|]male",
            &[
                (1, "female"),
                (2, "male"),
                (3, "female"),
                (4, "male"),
                (5, "female"),
                (6, "male"),
                (7, "female"),
                (8, "male"),
                (9, "female"),
                (10, "male"),
            ],
        ),
        ("[fe|||]male", &[(1, "female"), (4, "male"), (5, "female"), (8, "male"), (9, "female"), (10, "male")]),
        ("a[ b::4]", &[(4, "a b"), (10, "a")]),
        ("[a:b:0]", &[(10, "b")]),
        ("[a:b:-3]", &[(10, "b")]),
        ("[a:b:99]", &[(10, "a")]),
        ("[a:b:1.0]", &[(10, "a")]),
        ("([a:b:0.29]:1.5)", &[(2, "(a:1.500)"), (10, "(b:1.500)")]),
        ("[a BREAK b:c:5]", &[(5, "aBREAKb"), (10, "c")]),
        ("[happy ) face:sad:5]", &[(5, "happy ) face"), (10, "sad")]),
        ("[(a BREAK b:1.3):c:5]", &[(5, "(a:1.300)BREAK(b:1.300)"), (10, "c")]),
        (r"[16\:9]", &[(10, "(16:9:0.909)")]),
        ("[a|b:5]", &[(10, "(a|b:5:0.909)")]),
    ];
    for (prompt, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(end, text)| (*end, (*text).to_owned())).collect();
        assert_eq!(schedule(prompt), expected, "{prompt}");
    }
}

#[test]
fn a_break_takes_the_blanks_around_it_along() {
    assert_eq!(spans("a \n BREAK  b"), [text("a", 1.0), Span::Break, text("b", 1.0)]);
    assert_eq!(spans("(a BREAK BREAK b)"), [text("a", 1.1), Span::Break, Span::Break, text("b", 1.1)]);
    assert_eq!(spans("BREAK"), [Span::Break]);
}

#[test]
fn conditions_stand_between_ands_with_their_weights() {
    let prompt = parse("a cat :1.2 AND a (dog:1.5): -0.5 AND rain:x AND");
    let found: Vec<_> = prompt.conditions().iter().map(|condition| (condition.weight, condition.at(0, 1))).collect();
    let expected = [
        (1.2, vec![text("a cat ", 1.0)]),
        (-0.5, vec![text(" a ", 1.0), text("dog", 1.5)]),
        (1.0, vec![text(" rain:x ", 1.0)]),
        (1.0, vec![]),
    ];
    assert_eq!(found, expected);
    assert_eq!(parse("a cat :1.2").conditions()[0].weight, 1.0);
    let open = parse("(a AND b)");
    assert_eq!(open.conditions()[0].at(0, 1), [text("a ", 1.1)]);
    assert_eq!(open.conditions()[1].at(0, 1), [text(" b)", 1.0)]);
}

#[test]
fn a_negative_prompt_has_one_condition() {
    let prompt = Prompt::parse_negative("a AND (b:2) :3", Syntax::Weighted);
    let [condition] = prompt.conditions() else { panic!("{prompt:?}") };
    assert_eq!(
        (condition.weight, condition.at(0, 1)),
        (1.0, vec![text("a AND ", 1.0), text("b", 2.0), text(" :3", 1.0)])
    );
}

#[test]
fn adapters_are_named_anywhere_in_a_prompt() {
    let lora = |name: &str, text_scale, scale| Reference { kind: Kind::Lora, name: name.to_owned(), scale, text_scale };
    let other = |kind, name: &str, scale| Reference { kind, name: name.to_owned(), scale, text_scale: scale };
    let prompt =
        parse("a<lora:x> [<lora:y z:0.5>b:c<hypernet:h:-2>:5] <dreamartist:d:1.5>(<hypernetwork:i>e<dreamartist:f>)");
    let expected = [
        lora("x", 1.0, 1.0),
        lora("y z", 0.5, 0.5),
        other(Kind::Hypernetwork, "h", -2.0),
        other(Kind::DreamArtist, "d", 1.5),
        other(Kind::Hypernetwork, "i", 1.0),
        other(Kind::DreamArtist, "f", 1.0),
    ];
    assert_eq!(prompt.references(), expected);
    let placed = [text("a b ", 1.0), text(" d ", 1.5), text("e f ", 1.1)];
    assert_eq!(prompt.conditions()[0].at(0, 10), placed);
    let scales = [
        ("<lora:x:0.5:1>", (0.5, 1.0)),
        ("<lora:x:te=0:unet=2>", (0.0, 2.0)),
        ("<lora:x:0.5:unet=2:lbw=ALL>", (0.5, 2.0)),
        ("<lora:x:te=0.5>", (0.5, 0.5)),
        ("<lora:x: 4 >", (4.0, 4.0)),
        ("<lyco:x:-4>", (-4.0, -4.0)),
    ];
    for (reference, (text_scale, scale)) in scales {
        assert_eq!(parse(reference).references(), [lora("x", text_scale, scale)], "{reference}");
    }
}

#[test]
fn what_is_no_adapter_stays_text() {
    let cases = [
        "<lora:>",
        "<lora: :1>",
        "<lora:x:4.1>",
        "<lora:x:nan>",
        "<lora:x:1:1:1>",
        "<lora:x:>",
        "<lora>",
        "<lora:x",
        "<LORA:x>",
        "<hypernet:x:1:1>",
        "<hypernet:x:te=1>",
        "<dreamartist:x:1:2>",
        "<other:x>",
        "a < b > c",
        "<lora:<b>",
    ];
    for case in cases {
        let prompt = parse(case);
        assert_eq!((prompt.references(), prompt.conditions()[0].at(0, 1)), (&[][..], vec![text(case, 1.0)]));
    }
    // The inner one is well-formed.
    assert_eq!(spans("<lora:<lora:b>"), [text("<lora:", 1.0)]);
}

#[test]
fn a_plain_prompt_has_no_markup() {
    let all = r"(a:1.3) [b|c] <lora:x> \( BREAK AND :2";
    let prompt = Prompt::parse(all, Syntax::Plain);
    assert_eq!(prompt.conditions().iter().map(|condition| condition.at(3, 9)).collect::<Vec<_>>(), [[text(all, 1.0)]]);
    assert_eq!((prompt.text(), prompt.syntax(), prompt.references()), (all, Syntax::Plain, &[][..]));
    assert_eq!(Syntax::ALL.map(|syntax| Syntax::find(syntax.name())), Syntax::ALL.map(Some));
    assert_eq!(Syntax::find("a1111"), None);
}

#[test]
fn an_embedding_may_be_added_to_a_negative_prompt() {
    let prompt = Prompt::parse_negative("blurry", Syntax::Weighted).with_embedding("d-neg", 0.8);
    assert_eq!(prompt.conditions()[0].at(0, 1), [text("blurry", 1.0), text(" d-neg ", 0.8)]);
    assert_eq!(prompt.clone().with_embedding("e", 0.8).conditions()[0].at(0, 1)[1], text(" d-neg  e ", 0.8));
    assert_eq!(prompt.text(), "blurry");
}

#[test]
fn equal_spans_of_different_times_are_one_key() {
    let mut encoded = std::collections::HashSet::new();
    for (_, spans) in parse("[a|(b:1.5)] c").conditions()[0].timeline(20) {
        encoded.insert(spans);
    }
    assert_eq!(encoded.len(), 2);
}
