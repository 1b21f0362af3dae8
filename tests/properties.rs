//! Everything that eats a stranger's bytes, with good bytes, with good bytes that were changed, and with what the fuzzers
//! kept: nothing panics, and what `fuzz/properties` says holds. `fuzz/` goes on where this stops.

use std::path::PathBuf;

#[path = "../fuzz/properties/mod.rs"]
mod all;

use crate::support::changes::{Dice, change};
use crate::support::program::root;

/// Bytes that mean something in JSON and in topics.
const TELLING: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'{', b'"', b'/', b'[', b'9'];

/// What the fuzzers kept.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = root().join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Holds the property for the corpus, and for so many changed files and drawn bytes.
fn hold(name: &str, times: usize) {
    let (_, check) = all::ALL.into_iter().find(|(known, _)| *known == name).unwrap();
    let files = corpus(name);
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    files.iter().for_each(|file| check(file));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for n in 0..times {
        let bytes = match n % 2 {
            0 => change(&files[dice.below(files.len())], &TELLING, &mut dice),
            _ => (0..dice.below(120)).map(|_| dice.below(256) as u8).collect(),
        };
        check(&bytes);
    }
}

#[test]
fn every_property_has_a_target_and_a_corpus() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in all::ALL {
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "{name} is no target");
        assert!(!corpus(name).is_empty(), "{name} has no corpus");
    }
}

#[test]
fn requests_hold() {
    hold("request", 20_000);
}

#[test]
fn commands_hold() {
    hold("command", 20_000);
}

#[test]
fn topics_and_response_topics_hold() {
    hold("topics", 20_000);
    hold("reply", 20_000);
}

#[test]
fn properties_of_messages_hold() {
    hold("wire", 20_000);
}

#[test]
fn configurations_hold() {
    hold("config", 5_000);
}

#[test]
fn pictures_that_come_in_hold() {
    hold("picture", 5_000);
}

#[test]
fn pictures_that_go_out_hold() {
    hold("output", 1_000);
}

#[test]
fn parts_that_are_joined_hold() {
    hold("join", 10_000);
}

#[test]
fn defaults_of_a_bare_prompt_hold() {
    hold("defaults", 300);
}
