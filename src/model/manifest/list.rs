//! The text of a list: a line a file, the digest in hexadecimal digits, two spaces, the name.

use std::collections::BTreeMap;

use super::MANIFEST;
use crate::job::hex;

/// Characters that no listed name has: GNU's tools write them in a way of their own.
pub(super) fn unlisted(letter: char) -> bool {
    letter == '\\' || letter.is_control()
}

/// Sorted by name.
pub(super) fn text(digests: &BTreeMap<String, [u8; 32]>) -> String {
    let mut text = String::new();
    for (name, digest) in digests {
        text.push_str(&hex(digest));
        text.push_str("  ");
        text.push_str(name);
        text.push('\n');
    }
    text
}

/// Reads a list, also one that other tools wrote. Empty lines and lines after `#` count for nothing, as with `sha256sum`.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, [u8; 32]>, String> {
    let mut digests = BTreeMap::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let fault = |reason: String| format!("line {number} {reason}");
        let line = str::from_utf8(line).map_err(|_| fault("must be UTF-8".to_owned()))?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, digest) = entry(line).map_err(fault)?;
        if digests.insert(name.to_owned(), digest).is_some() {
            return Err(fault(format!("names {name:?} a second time")));
        }
    }
    if digests.is_empty() {
        return Err("it must list the folder's files, got none".to_owned());
    }
    Ok(digests)
}

fn entry(line: &str) -> Result<(&str, [u8; 32]), String> {
    let form = || format!("must be a SHA-256 digest, two spaces and a name, got {line:?}");
    let (digest, name) = line.split_once(' ').ok_or_else(form)?;
    // The second space is a star where a file was read as binary.
    let name = name.strip_prefix([' ', '*']).ok_or_else(form)?;
    let name = name.strip_prefix("./").unwrap_or(name);
    let digest = bytes(digest).ok_or_else(form)?;
    let stays = name.split('/').all(|step| !["", ".", ".."].contains(&step));
    match stays && !name.contains(unlisted) && name != MANIFEST {
        true => Ok((name, digest)),
        false => Err(format!("must name another file of the folder, got {name:?}")),
    }
}

fn bytes(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}
