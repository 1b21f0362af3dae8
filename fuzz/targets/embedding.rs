//! A textual inversion in any layout.

#![no_main]

use diffused::weights::Embedding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(embedding) = Embedding::parse(file) else { return };
    assert!((1..=75).contains(&embedding.count()));
    assert!((1..=2).contains(&embedding.vectors().len()));
    for vectors in embedding.vectors() {
        assert_eq!(vectors.nrows(), embedding.count());
        assert!(vectors.ncols() > 0 && vectors.iter().all(|value| value.is_finite()));
    }
});
