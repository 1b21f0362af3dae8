//! Whether steps may do without the U-Net's deep layers.

use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::ModelFacts;
use crate::job::units::ReuseInterval;

/// In how many steps the deep layers run once. What is left out is every other step; 1 is as good as nothing, for any
/// model.
pub(super) fn interval(fields: &mut Fields, model: &ModelFacts) -> Result<Option<ReuseInterval>, Rejection> {
    let Some(mut fields) = fields.optional_object("reuse", "reuse.")? else { return Ok(None) };
    let interval = fields.whole("interval")?.map_or_else(|| ReuseInterval::try_from(2), Ok)?;
    fields.finish()?;
    if interval.get() == 1 {
        return Ok(None);
    }
    match model.reuses {
        true => Ok(Some(interval)),
        false => {
            let message = "this model was not prepared for it, see diffused models prepare --reuse";
            Err(Rejection::of_field(Code::UnsupportedMode, "reuse", message))
        }
    }
}
