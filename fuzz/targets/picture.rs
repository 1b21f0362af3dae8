//! See `properties/picture.rs`.

#![no_main]

#[path = "../properties/mod.rs"]
mod properties;

// The program catches a decoder's panic; libFuzzer's own hook would end the process before that. A panic that is not
// caught still ends it, in silence: the property, run over the artifact as a test, says what it was.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |data: &[u8]| properties::picture::check(data));
