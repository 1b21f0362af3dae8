//! A file of `torch.save`, and a bare program as the old layout has it, past the numbers that make the layout.

#![no_main]

use diffused::weights::pickle::load;
use libfuzzer_sys::fuzz_target;

/// The magic number, the layout's number and the byte order.
const OLD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.M\xe9\x03.}X\x0d\0\0\0little_endian\x88s.";

fuzz_target!(|file: &[u8]| {
    let _ = load(file);
    let _ = load(&[OLD, file].concat());
});
