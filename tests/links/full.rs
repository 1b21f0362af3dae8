//! The full form; minutes each.

use std::time::Duration;

use super::size::{Wish, kinds, try_all};
use super::slow::{Passage, half_open, passage};
use super::torn::{places, tear_all};
use crate::support::shim::Weather;

#[test]
#[ignore = "minutes"]
fn sizes() {
    let large = [("rgb565", 2048), ("bmp", 1024), ("bmp", 2048)];
    println!("limit, connections, pictures, whole, parts, largest, took");
    for limit in [2048, 100_000, 131_072, 1_048_576, 2_000_000, 0] {
        let mut wishes = kinds(&[64, 176, 256, 512, 800]);
        // 16 MB in parts of a kilobyte are 16,000 messages and their acknowledgements.
        wishes.extend(large.map(|(format, side)| Wish { side, format, max_bytes: None }));
        let told = try_all(limit, &wishes);
        println!(
            "{limit}, {}, {}, {}, {}, {}, {:?}",
            told.connections, told.pictures, told.whole, told.parts, told.largest, told.took
        );
        assert_eq!(told.connections, 1, "limit {limit}");
    }
}

#[test]
#[ignore = "minutes"]
fn tears() {
    let tears = places(300, 100, 0.25);
    let cut = tear_all(&tears, 20);
    println!("{cut} of {} connections were reset", tears.len());
    assert!(cut >= tears.len() * 19 / 20);
}

#[test]
#[ignore = "minutes"]
fn slow_lines() {
    let slow = Weather { rate: Some(16_000), ..Weather::default() };
    // A packet that takes longer than four keep-alives is taken for a hang, until it goes in smaller ones.
    for (keep_alive, bytes, most) in
        [(5, 40_000, 1), (5, 150_000, 1), (5, 400_000, 4), (30, 400_000, 1), (30, 800_000, 1)]
    {
        let Passage { connections, took, part_bytes } = passage(slow, keep_alive, bytes);
        println!(
            "{bytes} bytes at 16 kB/s, keep-alive {keep_alive} s: {connections} connections, parts of {part_bytes}, {took:?}"
        );
        assert!(connections <= most && (part_bytes > 0) == (most > 1));
    }
}

#[test]
#[ignore = "minutes"]
fn late_lines() {
    // A ping must be answered within a keep-alive, and waits behind what lies in buffers.
    for (rate, keep_alive) in [(None, 10), (Some(16_000), 30)] {
        let weather = Weather { rate, delay: Duration::from_secs(2), piece: None };
        let Passage { connections, took, .. } = passage(weather, keep_alive, 100_000);
        println!("2 s late each way, rate {rate:?}, keep-alive {keep_alive} s: {connections} connections, {took:?}");
        assert_eq!(connections, 1);
    }
}

#[test]
#[ignore = "minutes"]
fn dead_lines() {
    for keep_alive in [5, 30] {
        let noticed = half_open(keep_alive, 150_000).0;
        println!("half-open, keep-alive {keep_alive} s: noticed after {noticed:?}");
        assert!(noticed <= Duration::from_secs(4 * keep_alive), "four keep-alives");
    }
}
