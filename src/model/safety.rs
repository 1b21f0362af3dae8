//! The safety checker: what should not be shown.

use ndarray::{Array4, ArrayD};

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::preprocess::{Class, Preprocessor};
use super::session::{Feed, Port};
use crate::job::Watch;
use crate::picture::Picture;

/// The safety checker of a model (diffusers' `StableDiffusionSafetyChecker`).
pub struct SafetyChecker {
    graph: Graph,
    clip: Port,
    /// The picture itself, which the legacy exporter's graphs blacken; that result is not used here.
    images: Option<Port>,
    flags: Port,
    preprocessor: Preprocessor,
}

impl SafetyChecker {
    /// Loads `safety_checker/model.onnx`, if the folder has one; `feature_extractor/preprocessor_config.json` must then
    /// be there too.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Option<Self>, LoadError> {
        let file = folder.graph("safety_checker");
        if !folder.has("safety_checker") {
            if folder.path.join("safety_checker").is_dir() {
                tracing::warn!(file = %file.display(), "the safety checker has no graph, pictures are not checked");
            }
            return Ok(None);
        }
        let preprocessor = Preprocessor::open(folder, Class::Clip)?;
        let graph = engine.load(&file)?;
        let ports = (|| {
            let clip = graph.ports.input(&["clip_input"], &[4])?;
            let images = graph.ports.input(&["images"], &[4]).ok().filter(|images| *images != clip);
            graph.ports.only(&[Some(clip), images].into_iter().flatten().collect::<Vec<_>>())?;
            Ok((clip.clone(), images.cloned(), graph.ports.flags(&["has_nsfw_concepts"], &[1])?.clone()))
        })();
        let (clip, images, flags) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Some(Self { graph, clip, images, flags, preprocessor }))
    }

    /// For each picture whether it should not be shown.
    pub fn flags(&self, pictures: &[Picture], watch: &dyn Watch) -> Result<Vec<bool>, PassError> {
        pictures.iter().map(|picture| self.flag(picture, watch)).collect()
    }

    /// One picture a pass, as diffusers does with such graphs.
    fn flag(&self, picture: &Picture, watch: &dyn Watch) -> Result<bool, PassError> {
        let mut feeds = vec![Feed { port: self.clip.clone(), value: self.preprocessor.planes(picture)?.into_dyn() }];
        if let Some(images) = &self.images {
            feeds.push(Feed { port: images.clone(), value: whole(picture, images)? });
        }
        let flags = batch::run(&self.graph, 1, feeds, &self.flags, watch)?;
        match flags.first() {
            Some(flag) if flags.len() == 1 => Ok(*flag != 0.0),
            _ => Err(PassError::Failed(format!("the safety checker must give one flag, got {}", flags.len()))),
        }
    }
}

/// A picture as [1, height, width, 3] from 0 to 1; with the channels first where the graph wants three there.
fn whole(picture: &Picture, port: &Port) -> Result<ArrayD<f32>, PassError> {
    let shape = [1, picture.height() as usize, picture.width() as usize, 3];
    let values = picture.pixels().iter().map(|value| f32::from(*value) / 255.0).collect();
    let whole = Array4::from_shape_vec(shape, values)
        .map_err(|error| PassError::Failed(format!("a picture cannot be checked: {error}")))?;
    let channels_first = port.shape[1] == Some(3) && port.shape[3] != Some(3);
    Ok(if channels_first { whole.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned() } else { whole }
        .into_dyn())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Miniature, Notes, engine};
    use super::*;

    const PREPROCESSOR: &str = "feature_extractor/preprocessor_config.json";

    /// With a checker that flags what is brighter than CLIP's mean.
    fn model(graph: &str) -> Miniature {
        Miniature::new().with("safety_checker", graph).text(PREPROCESSOR, "{}")
    }

    fn load(model: &Miniature) -> Result<Option<SafetyChecker>, LoadError> {
        SafetyChecker::load(&engine(), &Folder::open(model.path()).unwrap())
    }

    fn grey(width: u32, value: u8) -> Picture {
        Picture::new(width, 8, vec![value; 24 * width as usize]).unwrap()
    }

    #[test]
    fn a_folder_without_a_safety_checker_has_none() {
        assert!(load(&Miniature::new()).unwrap().is_none());
        assert!(load(&model("safety").without("safety_checker/model.onnx")).unwrap().is_none());
    }

    #[test]
    fn each_picture_gets_its_flag_with_either_kind_of_graph() {
        for graph in ["safety", "safety_legacy"] {
            let checker = load(&model(graph)).unwrap().unwrap();
            let pictures = [grey(8, 30), grey(16, 200), grey(8, 90)];
            assert_eq!(checker.flags(&pictures, &Notes::default()).unwrap(), [false, true, false], "{graph}");
        }
    }

    #[test]
    fn a_safety_checker_without_its_preprocessor_is_refused() {
        let error = load(&model("safety").without(PREPROCESSOR)).err().unwrap().to_string();
        assert!(error.ends_with(&format!("{PREPROCESSOR}: the file is missing")), "{error}");
    }

    #[test]
    fn another_graph_in_its_place_is_named() {
        let error = load(&model("depth")).err().unwrap().to_string();
        let expected = "safety_checker/model.onnx: the graph must have an output has_nsfw_concepts of rank [1], got";
        assert!(error.contains(expected), "{error}");
        let error = load(&model("classifier")).err().unwrap().to_string();
        assert!(error.ends_with("this version cannot feed the input timestep"), "{error}");
    }
}
