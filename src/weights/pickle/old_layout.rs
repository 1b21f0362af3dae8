//! The layout of `torch.save` before PyTorch 1.6: five pickles, then the storages one after another.

use std::borrow::Cow;

use super::graph::{Graph, Object, Objects};
use super::machine;
use super::reader::{self, Rest};
use super::storage::Storages;
use crate::weights::{Dtype, WeightsError};

/// The first pickle: the number 0x1950a86a20f9469cfc6c, after the byte that names the protocol.
const MAGIC: &[u8] = &[0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// PyTorch has had no other.
const LAYOUT: i64 = 1001;

/// What a file holds.
pub(super) struct Saved<'a> {
    pub(super) graph: Graph,
    pub(super) storages: Storages<'a>,
}

/// Follows the pickles of a file and finds its storages.
pub(super) fn read(file: &[u8]) -> Result<Saved<'_>, WeightsError> {
    let after_magic =
        file.strip_prefix(&[0x80]).and_then(|rest| rest.get(1..)).and_then(|rest| rest.strip_prefix(MAGIC));
    let mut rest = after_magic.ok_or_else(|| WeightsError::malformed("the file is not from torch.save"))?;
    let layout = machine::run(&mut rest)?;
    if !matches!(layout.objects.get(layout.root), Object::Int(LAYOUT)) {
        return Err(WeightsError::Unsupported("a layout of torch.save other than 1001".to_owned()));
    }
    if !is_little_endian(&machine::run(&mut rest)?) {
        return Err(WeightsError::Unsupported("a file with the byte order of another machine".to_owned()));
    }
    let graph = machine::run(&mut rest)?;
    let storages = storages(&machine::run(&mut rest)?, &graph.objects, rest)?;
    Ok(Saved { graph, storages })
}

/// Whether the machine that wrote the file says so.
fn is_little_endian(system: &Graph) -> bool {
    let Object::Dict(entries) = system.objects.get(system.root) else { return false };
    let said = entries.iter().find(|(key, _)| system.objects.text(*key) == Some("little_endian"));
    said.is_some_and(|(_, value)| matches!(system.objects.get(*value), Object::Bool(true)))
}

/// The storages, each with its number of elements before it, in the order of the list of keys.
fn storages<'a>(keys: &Graph, objects: &Objects, mut rest: Rest<'a>) -> Result<Storages<'a>, WeightsError> {
    let dtypes = objects.storages();
    let Object::List(list) = keys.objects.get(keys.root) else {
        return Err(WeightsError::malformed("the file has no list of storages"));
    };
    let mut storages = Storages::default();
    for id in list {
        let key = keys.objects.text(*id).ok_or_else(|| WeightsError::malformed("the key of a storage is no text"))?;
        let dtype =
            dtypes.get(key).ok_or_else(|| WeightsError::malformed(format!("no tensor uses the storage {key:?}")))?;
        let elements = reader::number(&mut rest, 8)?;
        let bytes = reader::take(&mut rest, elements.saturating_mul(Dtype::size(*dtype) as u64))?;
        storages.add(key.to_owned(), Cow::Borrowed(bytes));
    }
    Ok(storages)
}
