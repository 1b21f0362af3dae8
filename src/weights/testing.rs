//! Files made for tests.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A file in the layout of `torch.save` with this program and these storages.
pub(super) fn saved(program: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    archive(CompressionMethod::Stored, program, storages)
}

/// The same, deflated.
pub(super) fn archive(method: CompressionMethod, program: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let storages = storages.iter().map(|(key, bytes)| (format!("archive/data/{key}"), *bytes));
    for (name, bytes) in [("archive/data.pkl".to_owned(), program)].into_iter().chain(storages) {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Instructions that push a text.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut program = vec![b'X'];
    program.extend((text.len() as u32).to_le_bytes());
    program.extend(text.as_bytes());
    program
}

/// Instructions that push the function or class of that name.
pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// Instructions that push a whole number.
pub(super) fn int(number: i64) -> Vec<u8> {
    let mut program = vec![0x8a, 8];
    program.extend(number.to_le_bytes());
    program
}

/// Instructions that push a tensor of a storage.
pub(super) fn tensor(storage: &str, key: &str, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let tuple =
        |numbers: &[i64]| [vec![b'('], numbers.iter().flat_map(|number| int(*number)).collect(), vec![b't']].concat();
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let id =
        [b"((".to_vec(), text("storage"), global("torch", storage), text(key), text("cpu"), int(0), b"tQ".to_vec()];
    let place = [int(offset), tuple(shape), tuple(strides), b"\x89NtR".to_vec()];
    [vec![rebuild], id.to_vec(), place.to_vec()].concat().concat()
}
