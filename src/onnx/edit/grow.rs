//! Tables with more rows.

use super::super::Skeleton;
use super::Unfit;

/// Declares that an initializer has so many rows: its first size. Its values must be given when the graph is loaded.
///
/// ONNX Runtime's `AddExternalInitializers`, the only way that reaches a value before the runtime computes with it, wants
/// the shape that the graph declares. An initializer whose values are in the graph is not for that way, and stays as it is.
pub fn grow(skeleton: &mut Skeleton, initializer: &str, rows: usize) -> Result<(), Unfit> {
    let found = skeleton.initializers.iter_mut().find(|tensor| tensor.name == initializer && !tensor.shape.is_empty());
    let tensor =
        found.ok_or_else(|| Unfit(format!("an initializer {initializer} with rows was looked for, got none")))?;
    *tensor = tensor.with_rows(rows);
    Ok(())
}
