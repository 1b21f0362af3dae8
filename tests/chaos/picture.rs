//! The picture that belongs to a seed: the fake node paints it, the requesters know it.

/// Rows from the top, three bytes a pixel: squares of 16 pixels, each in a colour that follows from the seed and its place.
pub fn pixels(seed: u64, width: u32, height: u32) -> Vec<u8> {
    (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(seed, x / 16, y / 16))).collect()
}

fn colour(seed: u64, x: u32, y: u32) -> [u8; 3] {
    let mixed = (seed ^ u64::from(x) << 40 ^ u64::from(y) << 52).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [red, green, blue, ..] = mixed.to_be_bytes();
    [red, green, blue]
}
