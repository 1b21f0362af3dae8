//! A prompt of any text, and what it says at every step.

#![no_main]

use diffused::prompt::{Prompt, Syntax, escape};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for syntax in Syntax::ALL {
        for prompt in [Prompt::parse(text, syntax), Prompt::parse_negative(text, syntax)] {
            assert_eq!(prompt.text(), text);
            assert!(!prompt.conditions().is_empty());
            for condition in prompt.conditions() {
                for steps in [1, 7] {
                    let spans: Vec<_> = (0..steps).map(|step| condition.at(step, steps)).collect();
                    let timeline = condition.timeline(steps);
                    assert_eq!(timeline.iter().map(|(range, _)| range.len()).sum::<usize>(), steps);
                    for (range, expected) in timeline {
                        assert!(range.into_iter().all(|step| spans[step] == expected));
                    }
                }
            }
        }
    }
    let escaped = Prompt::parse(&escape(text), Syntax::Weighted);
    assert!(escaped.references().is_empty(), "an escaped text refers to an adapter");
});
