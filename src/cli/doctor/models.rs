//! The models: are they whole, and do they fit?

use std::path::Path;

use super::finding::Finding;
use crate::config::Config;
use crate::model::{Fitting, Manifest, Space, Survey, model_folders};

const ABOUT: &str = "model";

/// Names tell whether the files are those of the list; that their bytes are too, `models verify` tells in minutes.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let dir = &config.models.dir;
    let folders = match model_folders(dir) {
        Ok(folders) => folders,
        Err(error) => {
            let fix = "create the folder, or set models.dir";
            return vec![Finding::fail(ABOUT, format!("{} cannot be read: {error}", dir.display()), fix)];
        }
    };
    if folders.is_empty() {
        let fix = "export or import one (docs/models.md)";
        return vec![Finding::fail(ABOUT, format!("there is no model in {}", dir.display()), fix)];
    }
    let space = Space::of(config.engine.memory);
    folders.iter().flat_map(|(name, folder)| of(name, folder, &space)).collect()
}

fn of(name: &str, folder: &Path, space: &Space) -> Vec<Finding> {
    let verify = format!("diffused models verify {name}");
    let mut findings = vec![match Survey::open(folder) {
        Err(error) => Finding::fail(ABOUT, format!("{name}: {error}"), "export or import it again (docs/models.md)"),
        Ok(survey) => match (space.takes(&survey.demand()), space.complaint(&survey.demand())) {
            (_, Some(complaint)) => Finding::fail(
                ABOUT,
                format!("{name}: {complaint}"),
                "a smaller or quantised copy (docs/quantisation.md)",
            ),
            (Fitting::InTurns, None) => Finding::warn(
                ABOUT,
                format!("{name}: its graphs take turns in the memory, which makes every picture slower"),
                "raise engine.memory if the board has more, or take a copy in 16 or 8 bits",
            ),
            _ => Finding::ok(ABOUT, format!("{name}: whole, fits")),
        },
    }];
    findings.extend(match Manifest::open(folder) {
        Ok(None) => Some(Finding::warn(ABOUT, format!("{name}: has no SHA256SUMS"), format!("{verify} --write"))),
        Ok(Some(list)) => match list.glance(folder) {
            Ok(faults) if faults.is_empty() => None,
            Ok(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                Some(Finding::fail(ABOUT, format!("{name}: {}", faults.join(", ")), verify))
            }
            Err(error) => Some(Finding::fail(ABOUT, format!("{name}: {error}"), verify)),
        },
        Err(error) => Some(Finding::fail(ABOUT, format!("{name}: {error}"), verify)),
    });
    findings
}
