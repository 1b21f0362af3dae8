//! The restricted reader of what `torch.save` writes: `.pt`, `.bin`, `.ckpt`.
//!
//! Such a file is a program for a stack machine which, in Python, may call anything. The machine here knows tensors and plain
//! containers and calls nothing: what else a file asks for is refused with its name. The program is followed to a graph of
//! objects first, in which a shared object is one object; only then, within a budget, it becomes a tree of values.
//!
//! Sources: CPython's `pickletools.py` for the instructions, PyTorch's `torch/serialization.py` for the two layouts.

mod allowed;
mod archive;
mod graph;
mod literal;
mod machine;
mod old_layout;
mod reader;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use super::WeightsError;
pub use value::Value;

/// What a file saved with `torch.save` holds, in its zip layout (since PyTorch 1.6) or in the one before.
///
/// Beside the file itself it takes at most 64 MiB and eight times the file's length for what is inflated, and as much for the
/// values.
pub fn load(bytes: &[u8]) -> Result<Value, WeightsError> {
    if bytes.starts_with(b"PK") {
        let archive::Archive { program, storages } = archive::read(bytes)?;
        let graph = machine::run(&mut program.as_ref())?;
        return tree::grow(&graph, &storages, budget(bytes));
    }
    let old_layout::Saved { graph, storages } = old_layout::read(bytes)?;
    tree::grow(&graph, &storages, budget(bytes))
}

/// How many bytes a file may take when it is inflated, and how many its values may take.
///
/// Weights hardly shrink, but an adapter that is mostly zeros does; and two tensors may be views of one storage.
fn budget(file: &[u8]) -> u64 {
    (64 << 20) + 8 * file.len() as u64
}
