//! What the shim recorded: every operation on the store's files, with what the drill said in between.

use std::path::Path;
use std::sync::Arc;

/// An operation, or a word of the drill.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A file was made.
    File { node: u64, path: String },
    /// A folder was made; the outermost one was there before.
    Folder { node: u64, path: String },
    /// Bytes were written.
    Write { node: u64, offset: usize, bytes: Arc<[u8]> },
    /// A file was given another length.
    Cut { node: u64, length: usize },
    /// What was done to a file or a folder was asked to be on the disk, and said to be.
    Sync { node: u64 },
    /// A name was taken away.
    Remove { path: String },
    /// The drill said this.
    Mark(String),
}

/// Bytes before the data of a record: what, node, offset, length.
const HEAD: usize = 25;

/// Reads a record to its end.
pub fn read(file: &Path) -> Vec<Step> {
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    let mut steps = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let (data, after) = after.split_at(number(17) as usize);
        steps.push(step(head[0], number(1), number(9) as usize, data));
        rest = after;
    }
    assert!(rest.is_empty(), "the record ends in the middle");
    steps
}

fn step(what: u8, node: u64, offset: usize, data: &[u8]) -> Step {
    let text = || String::from_utf8(data.to_vec()).unwrap().trim_start_matches('/').to_owned();
    match what {
        b'C' => Step::File { node, path: text() },
        b'D' => Step::Folder { node, path: text() },
        b'W' => Step::Write { node, offset, bytes: data.into() },
        b'T' => Step::Cut { node, length: offset },
        b'S' => Step::Sync { node },
        b'U' => Step::Remove { path: text() },
        b'M' => Step::Mark(text()),
        other => panic!("the record has an unknown step {other}"),
    }
}
