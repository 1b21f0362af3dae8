//! Changes of good bytes, the same in every run; shared by the unit tests of `src/weights` and `src/http`, and by
//! `tests/properties.rs`.

/// Marsaglia 2003, "Xorshift RNGs".
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// One to four changes: a byte becomes another (one of `telling`), one bit turns, a piece goes, a piece comes twice.
pub(crate) fn change(bytes: &[u8], telling: &[u8; 10], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let end = (at + dice.below(16)).min(bytes.len());
        match dice.below(4) {
            0 if at < bytes.len() => bytes[at] = telling[dice.below(10)],
            1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            2 => drop(bytes.drain(at..end)),
            _ => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        }
    }
    bytes
}
