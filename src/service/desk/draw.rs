//! What is drawn at random: ids and seeds.

use std::time::SystemTime;

use crate::job::units::{JobId, Seed};

/// An id that nobody has used: 128 random bits.
pub fn fresh_id() -> JobId {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    JobId::random(bytes)
}

/// A seed at random, small enough for JSON.
pub fn fresh_seed() -> Seed {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    Seed::from(u32::from_le_bytes(bytes))
}

/// Without the system's randomness the clock has to do: ids need to differ, not to be secret.
fn fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        bytes.iter_mut().zip(nanos.to_le_bytes()).for_each(|(byte, tick)| *byte = tick);
    }
}
