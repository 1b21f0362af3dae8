//! Good files with a few bytes changed, thousands of them: each gives a value or an error, and never a panic. `fuzz/` goes on
//! where this stops.

use std::io::Cursor;

use super::changes::{Dice, change};
use super::testing::saved;
use super::{Embedding, Hypernetwork, Safetensors, pickle};

/// Bytes that mean something in such files.
const TELLING: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'R', b'b', b'Q', b'(', b't'];

/// How many of so many changed files are read and how many refused.
fn outcomes<T, E>(good: &[u8], times: usize, read: impl Fn(&[u8]) -> Result<T, E>) -> [usize; 2] {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    assert!(read(good).is_ok(), "the file is not good to begin with");
    let fine = (0..times).filter(|_| read(&change(good, &TELLING, &mut dice)).is_ok()).count();
    [fine, times - fine]
}

/// A reader that took everything or nothing would not have been tested.
#[track_caller]
fn assert_both([fine, refused]: [usize; 2]) {
    assert!(fine > 0 && refused > 0, "{fine} read, {refused} refused");
}

#[test]
fn a_changed_safetensors_file_never_panics() {
    let good = include_bytes!("../../tests/golden/weights/sdxl.safetensors");
    assert_both(outcomes(good, 20_000, |file| {
        let mut file = Safetensors::open(Cursor::new(file))?;
        let names: Vec<String> = file.names().map(str::to_owned).collect();
        names.iter().try_for_each(|name| file.read(name).map(|_| ()))
    }));
}

#[test]
fn a_changed_file_of_torch_never_panics() {
    assert_both(outcomes(include_bytes!("../../tests/golden/weights/containers.pt"), 5_000, pickle::load));
    assert_both(outcomes(include_bytes!("../../tests/golden/weights/containers-deflated.pt"), 5_000, pickle::load));
    assert_both(outcomes(include_bytes!("../../tests/golden/weights/containers-old.pt"), 10_000, pickle::load));
}

#[test]
fn a_changed_program_never_panics() {
    // The program without its archive's own bytes: changes meet the machine and not the archive.
    let old = include_bytes!("../../tests/golden/weights/containers-4.pt");
    let from = old.windows(2).position(|bytes| bytes == b"\x80\x04").unwrap();
    let end = from + old[from..].windows(4).position(|bytes| bytes == b"PK\x07\x08").unwrap();
    let storages: Vec<String> = (0..16).map(|key| key.to_string()).collect();
    let storages: Vec<(&str, &[u8])> = storages.iter().map(|key| (key.as_str(), [0; 64].as_slice())).collect();
    assert_both(outcomes(&old[from..end], 10_000, |program| pickle::load(&saved(program, &storages))));
}

#[test]
fn a_changed_adapter_never_panics() {
    assert_both(outcomes(include_bytes!("../../tests/golden/weights/web-ui.pt"), 5_000, Embedding::parse));
    assert_both(outcomes(include_bytes!("../../tests/golden/weights/card.png"), 5_000, Embedding::parse));
    assert_both(outcomes(include_bytes!("../../tests/golden/hypernetworks/dropout.pt"), 5_000, Hypernetwork::parse));
}
