//! The objects that a pickle makes, before they become values.

use std::collections::HashMap;

use super::allowed::Callable;
use crate::weights::tensors::MOST_DIMENSIONS;
use crate::weights::{Dtype, WeightsError};

/// Real files make fewer than a hundred thousand.
const MOST_OBJECTS: u64 = 1_000_000;

/// An object's place in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

/// An object. Objects name what they contain, so that what is shared is one object, and a list may contain itself. Nothing ever
/// copies an object's content: a file could ask for that as often as it has bytes.
#[derive(Debug)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A `torch.nn.ParameterDict` and its state, once that is known.
    ParameterDict(Option<Id>),
    Callable(Callable),
    /// The elements of one or more tensors. The key is a text.
    Storage {
        dtype: Dtype,
        key: Id,
    },
    Tensor(Box<View>),
}

/// A tensor: where its elements stand in a storage.
#[derive(Debug)]
pub(super) struct View {
    pub(super) dtype: Dtype,
    /// Of the storage, a text.
    pub(super) key: Id,
    /// Of the first element, in elements.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Elements from one to the next along each dimension.
    pub(super) strides: Vec<usize>,
}

/// All objects of a file.
#[derive(Debug, Default)]
pub(super) struct Objects(Vec<Object>);

impl Objects {
    pub(super) fn add(&mut self, object: Object) -> Result<Id, WeightsError> {
        let count = self.0.len() as u64;
        WeightsError::check_limit("the number of objects in the file", MOST_OBJECTS, count + 1)?;
        self.0.push(object);
        Ok(Id(count as u32))
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        // An id is only ever made by `add`, which never takes an object away.
        &self.0[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Object {
        &mut self.0[id.0 as usize]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        if let Object::Text(text) = self.get(id) { Some(text) } else { None }
    }

    /// The element types of all storages by their keys.
    pub(super) fn storages(&self) -> HashMap<&str, Dtype> {
        let storages = self.0.iter().filter_map(|object| match object {
            Object::Storage { dtype, key } => self.text(*key).map(|key| (key, *dtype)),
            _ => None,
        });
        storages.collect()
    }

    /// The elements of a tuple.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Object::Tuple(elements) = self.get(id) { Some(elements) } else { None }
    }

    /// A tuple of a few whole numbers that are not negative.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)
            .filter(|sides| sides.len() <= MOST_DIMENSIONS)?
            .iter()
            .map(|element| self.size(*element))
            .collect()
    }

    /// A whole number that is not negative.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        if let Object::Int(number) = self.get(id) { usize::try_from(*number).ok() } else { None }
    }
}

/// The objects of a file and the one that it is.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) objects: Objects,
    pub(super) root: Id,
}
