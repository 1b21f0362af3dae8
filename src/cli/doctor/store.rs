//! The store: whether this version reads it, or what the next start makes of it.

use std::path::Path;

use super::finding::Finding;
use crate::board::{self, size};
use crate::service::store::{Condition, FORMAT, StoreError, inspect};

pub(super) fn finding(folder: &Path) -> Finding {
    let place = folder.display();
    match inspect(folder) {
        Ok(None) => Finding::ok("store", format!("none is seen in {place}, the first start makes one")),
        Ok(Some(condition)) if condition.needs == 0 => Finding::ok("store", format!("format {FORMAT}, in {place}")),
        Ok(Some(condition)) => older(folder, condition),
        Err(error @ StoreError::Newer { .. }) => {
            Finding::fail("store", error.to_string(), "docs/install.md, under \"Going back to an older version\"")
        }
        Err(error) => Finding::warn(
            "store",
            format!("{place} cannot be looked into: {error}"),
            "ask as the user of the service: sudo -u diffused diffused doctor",
        ),
    }
}

fn older(folder: &Path, Condition { format, needs }: Condition) -> Finding {
    let what = format!("format {format} of an older version: the next start copies it and makes format {FORMAT} of it");
    match board::disk_free(folder) {
        Ok(free) if free < needs => Finding::fail(
            "store",
            format!("{what}, which needs {} of the disk, and {} are free", size(needs), size(free)),
            "free some of the disk before the service starts",
        ),
        _ => Finding::ok("store", what),
    }
}
