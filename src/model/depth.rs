//! The depth net: how far away is what a picture shows.

use ndarray::ArrayD;

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::preprocess::{Class, Preprocessor};
use super::session::{Feed, Port};
use crate::job::Watch;
use crate::picture::{Map, Picture};

/// The depth net of a depth-to-image model (MiDaS, DPT).
pub struct DepthNet {
    graph: Graph,
    pixels: Port,
    depth: Port,
    preprocessor: Preprocessor,
}

impl DepthNet {
    /// Loads `depth_estimator/model.onnx`, if the folder has one; `feature_extractor/preprocessor_config.json` must then
    /// be there too.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Option<Self>, LoadError> {
        if !folder.has("depth_estimator") {
            return Ok(None);
        }
        let preprocessor = Preprocessor::open(folder, Class::Dpt)?;
        let graph = engine.load(&folder.graph("depth_estimator"))?;
        let ports = (|| {
            let pixels = graph.ports.input(&["pixel_values"], &[4])?;
            graph.ports.only(&[pixels])?;
            Ok((pixels.clone(), graph.ports.output(&["predicted_depth"], &[3, 4])?.clone()))
        })();
        let (pixels, depth) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Some(Self { graph, pixels, depth, preprocessor }))
    }

    /// What the net says of a picture, in its own size and units: a larger number is nearer.
    pub fn estimate(&self, picture: &Picture, watch: &dyn Watch) -> Result<Map, PassError> {
        let feed = Feed { port: self.pixels.clone(), value: self.preprocessor.planes(picture)?.into_dyn() };
        let depth = batch::run(&self.graph, 1, vec![feed], &self.depth, watch)?;
        map(depth)
    }
}

/// [1, height, width] or [1, 1, height, width] as a map.
fn map(depth: ArrayD<f32>) -> Result<Map, PassError> {
    let wrong = |reason: String| PassError::Failed(format!("the depth net gave no map: {reason}"));
    let (height, width) = match depth.shape() {
        [1, height, width] | [1, 1, height, width] => (*height, *width),
        other => return Err(wrong(format!("its output must be of one picture and one channel, got {other:?}"))),
    };
    // Graphs of pictures with 2^32 pixels on a side cannot be run.
    Map::new(width as u32, height as u32, depth.into_iter().collect()).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Miniature, Notes, engine};
    use super::*;

    const PREPROCESSOR: &str = "feature_extractor/preprocessor_config.json";

    /// With a net that says the mean of the channels, for pictures of 4x2 pixels.
    fn model(graph: &str) -> Miniature {
        Miniature::new()
            .with("depth_estimator", graph)
            .set(PREPROCESSOR, "image_processor_type", json!("DPTImageProcessor"))
            .set(PREPROCESSOR, "size", json!({"height": 2, "width": 4}))
    }

    fn load(model: &Miniature) -> Result<Option<DepthNet>, LoadError> {
        DepthNet::load(&engine(), &Folder::open(model.path()).unwrap())
    }

    #[test]
    fn a_folder_without_a_depth_net_has_none() {
        assert!(load(&Miniature::new()).unwrap().is_none());
    }

    #[test]
    fn a_picture_is_prepared_and_its_depths_come_back_whatever_their_rank() {
        for graph in ["depth", "depth_channel"] {
            let net = load(&model(graph)).unwrap().unwrap();
            let picture = Picture::new(8, 8, [[0; 96], [255; 96]].concat()).unwrap();
            let depth = net.estimate(&picture, &Notes::default()).unwrap();
            assert_eq!((depth.width(), depth.height()), (4, 2), "{graph}");
            // Black is -1 and white is 1; the cubic filter reaches a little over the edge.
            assert!(depth.values()[..4].iter().all(|value| *value < -0.8), "{graph}: {depth:?}");
            assert!(depth.values()[4..].iter().all(|value| *value > 0.8), "{graph}: {depth:?}");
        }
    }

    #[test]
    fn a_depth_net_without_its_preprocessor_is_refused() {
        let error = load(&model("depth").without(PREPROCESSOR)).err().unwrap().to_string();
        assert!(error.ends_with(&format!("{PREPROCESSOR}: the file is missing")), "{error}");
    }

    #[test]
    fn another_graph_in_its_place_is_named() {
        let error = load(&model("text_encoder")).err().unwrap().to_string();
        let expected =
            "depth_estimator/model.onnx: the graph must have an input pixel_values of rank [4], got input_ids";
        assert!(error.contains(expected), "{error}");
        let error = load(&model("classifier")).err().unwrap().to_string();
        assert!(error.ends_with("this version cannot feed the input timestep"), "{error}");
    }

    #[test]
    fn depths_of_more_than_one_picture_are_no_map() {
        for shape in [vec![2, 3, 4], vec![1, 2, 3, 4]] {
            let error = map(ArrayD::zeros(shape)).unwrap_err().to_string();
            assert!(error.contains("its output must be of one picture and one channel"), "{error}");
        }
        assert!(map(ArrayD::from_elem(vec![1, 1, 1], f32::NAN)).is_err());
    }
}
