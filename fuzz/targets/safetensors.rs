//! A safetensors file, and all its tensors.

#![no_main]

use std::io::Cursor;

use diffused::weights::Safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(mut read) = Safetensors::open(Cursor::new(file)) else { return };
    let names: Vec<String> = read.names().map(str::to_owned).collect();
    let mut total = 0;
    for name in names {
        let range = read.range(&name).expect("a tensor has a place");
        let tensor = read.read(&name).expect("the header was checked");
        assert_eq!(tensor.bytes(), &file[range.start as usize..range.end as usize]);
        assert_eq!((Some(tensor.shape()), Some(tensor.dtype())), (read.shape(&name), read.dtype(&name)));
        total += tensor.bytes().len();
        if let Ok(values) = tensor.to_f32(&name) {
            assert_eq!(values.shape(), tensor.shape());
        }
    }
    assert!(total < file.len());
    // What is read here the reference reads too.
    assert!(safetensors::SafeTensors::deserialize(file).is_ok());
});
