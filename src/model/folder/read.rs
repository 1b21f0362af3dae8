//! Files of a model folder, and the parts that its JSON files or else its graphs tell about.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::super::error::LoadError;
use crate::onnx::Skeleton;

/// A folder that is being read.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    /// Whether graphs may stand without a configuration beside them, as diffusers' first converter wrote them.
    pub(super) bare: bool,
}

impl Reader<'_> {
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn fault(&self, name: &str, reason: String) -> LoadError {
        LoadError::folder(self.at(name), reason)
    }

    /// Whether a part's configuration is to be read, and not its graph.
    pub(super) fn describes(&self, part: &str) -> bool {
        !self.bare || self.at(&format!("{part}/config.json")).exists()
    }

    /// The file that tells about a part.
    fn source(&self, part: &str) -> String {
        format!("{part}/{}", if self.describes(part) { "config.json" } else { "model.onnx" })
    }

    /// A fault in what is told about a part.
    pub(super) fn fault_of(&self, part: &str, reason: String) -> LoadError {
        self.fault(&self.source(part), reason)
    }

    /// Reads a JSON file and looks whether it can be served.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<T, LoadError> {
        let fault = |reason: String| self.fault(name, reason);
        let value = serde_json::from_str(&self.text(name)?).map_err(|error| fault(error.to_string()))?;
        check(&value).map_err(fault)?;
        Ok(value)
    }

    /// The same for the configuration of a part; what it would say is taken from the graph where there is none.
    pub(super) fn part<T: DeserializeOwned>(
        &self,
        part: &str,
        bare: impl Fn(&Skeleton) -> Result<T, String>,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<T, LoadError> {
        let name = self.source(part);
        if self.describes(part) {
            return self.json(&name, check);
        }
        let fault = |reason: String| self.fault(&name, reason);
        let mut file = std::fs::File::open(self.at(&name)).map_err(|error| fault(unreadable(&error)))?;
        let graph = Skeleton::read(&mut file, "model.onnx").map_err(|error| fault(error.to_string()))?;
        let value = bare(&graph).map_err(fault)?;
        check(&value).map_err(fault)?;
        Ok(value)
    }

    pub(super) fn text(&self, name: &str) -> Result<String, LoadError> {
        std::fs::read_to_string(self.at(name)).map_err(|error| self.fault(name, unreadable(&error)))
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
        _ => error.to_string(),
    }
}
