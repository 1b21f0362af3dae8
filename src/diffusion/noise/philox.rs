//! The counter-based generator Philox4x32-10 (Salmon et al. 2011).

/// The four words that belong to a counter under a key.
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const ROUNDS: usize = 10;
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

fn round([a, b, c, d]: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (first, second) = (u64::from(a) * 0xd251_1f53, u64::from(c) * 0xcd9e_8d57);
    [high(second) ^ b ^ key[0], low(second), high(first) ^ d ^ key[1], low(first)]
}

fn high(product: u64) -> u32 {
    (product >> 32) as u32
}

fn low(product: u64) -> u32 {
    (product & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::philox;

    #[test]
    fn the_words_are_those_of_the_authors_known_answers() {
        let (none, all) = (0, u32::MAX);
        let pi = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(philox([none; 4], [none; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([all; 4], [all; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(philox(pi.0, pi.1), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
