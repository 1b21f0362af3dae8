//! The names that a file may use, and what they make.

use super::graph::{Id, Object, Objects, View};
use crate::weights::{Dtype, WeightsError};

/// What a file may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callable {
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter` and `torch.nn.parameter.Parameter`: a tensor by another name.
    Parameter,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch.nn.modules.container.ParameterDict`, in embeddings of the first scripts.
    ParameterDict,
    /// `torch.Size`.
    Size,
    /// `set`.
    Set,
    /// `torch.FloatStorage` and its kin, only named and never called.
    Storage(Dtype),
}

impl Callable {
    /// The thing of that name, if a file may use it.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, WeightsError> {
        Ok(match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") | ("torch.nn.parameter", "Parameter") => Self::Parameter,
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch.nn.modules.container", "ParameterDict") => Self::ParameterDict,
            ("torch", "Size") => Self::Size,
            ("__builtin__" | "builtins", "set") => Self::Set,
            ("torch", storage) => match dtype(storage) {
                Some(dtype) => Self::Storage(dtype),
                None => return Err(WeightsError::Forbidden(format!("{module}.{name}"))),
            },
            _ => return Err(WeightsError::Forbidden(format!("{module}.{name}"))),
        })
    }

    /// What it makes of these arguments. Another name for an argument is that argument.
    pub(super) fn call(self, arguments: &[Id], objects: &mut Objects) -> Result<Id, WeightsError> {
        match (self, arguments) {
            (Self::OrderedDict, []) => return objects.add(Object::Dict(Vec::new())),
            (Self::ParameterDict, []) => return objects.add(Object::ParameterDict(None)),
            (Self::Set, []) => return objects.add(Object::List(Vec::new())),
            // What comes after says whether it is trained and what is called then.
            (Self::Tensor, [storage, offset, shape, strides, ..]) => {
                if let Some(view) = view(objects, *storage, *offset, *shape, *strides) {
                    return objects.add(Object::Tensor(Box::new(view)));
                }
            }
            (Self::Parameter, [same, ..]) if matches!(objects.get(*same), Object::Tensor(_)) => return Ok(*same),
            (Self::Size, [same]) if matches!(objects.get(*same), Object::Tuple(_)) => return Ok(*same),
            (Self::Set, [same]) if matches!(objects.get(*same), Object::List(_) | Object::Tuple(_)) => {
                return Ok(*same);
            }
            _ => {}
        }
        Err(WeightsError::Malformed(format!("the pickle gives wrong arguments to {self:?}")))
    }
}

/// The storage that a persistent id stands for: `('storage', torch.FloatStorage, key, location, elements)`, and in the old
/// layout a part of it, which is None.
pub(super) fn storage(id: Id, objects: &Objects) -> Result<Object, WeightsError> {
    if let Some([kind, class, key, _location, _elements, part @ ..]) = objects.tuple(id)
        && objects.text(*kind) == Some("storage")
        && let Object::Callable(Callable::Storage(dtype)) = objects.get(*class)
        && objects.text(*key).is_some()
        && part.iter().all(|part| matches!(objects.get(*part), Object::None))
    {
        return Ok(Object::Storage { dtype: *dtype, key: *key });
    }
    Err(WeightsError::Unsupported("a persistent id that is no whole storage".to_owned()))
}

fn view(objects: &Objects, storage: Id, offset: Id, shape: Id, strides: Id) -> Option<View> {
    let Object::Storage { dtype, key } = objects.get(storage) else { return None };
    let (shape, strides) = (objects.sizes(shape)?, objects.sizes(strides)?);
    let offset = objects.size(offset)?;
    (shape.len() == strides.len()).then_some(View { dtype: *dtype, key: *key, offset, shape, strides })
}

fn dtype(storage: &str) -> Option<Dtype> {
    Some(match storage {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::Bool,
        _ => return None,
    })
}
