//! A hypernetwork, and what it makes of a row of ones.

#![no_main]

use diffused::weights::Hypernetwork;
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;

fuzz_target!(|file: &[u8]| {
    let Ok(network) = Hypernetwork::parse(file) else { return };
    for (width, pair) in network.layers() {
        for mlp in pair {
            assert_eq!(mlp.apply(Array2::ones((1, *width)).view(), 1.0).dim(), (1, *width));
        }
    }
});
