//! The classifier: which way a label lies.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, Ix4};
use serde::Deserialize;

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::session::{Feed, Port};
use crate::diffusion::{Halt, Input, Latents, Steer};
use crate::job::Watch;

/// A classifier of noisy latents, exported with its backward pass: it gives the gradient of log p(label | latents).
pub struct Classifier {
    graph: Graph,
    sample: Port,
    timestep: Port,
    label: Port,
    gradient: Port,
    labels: Vec<String>,
}

impl Classifier {
    /// Loads `classifier/model.onnx`, if the folder has one; `classifier/config.json` must then be there too and name
    /// the labels, 0 upwards, as `id2label`.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Option<Self>, LoadError> {
        if !folder.has("classifier") {
            return Ok(None);
        }
        let config: Config = folder.json("classifier/config.json")?;
        let fault = |reason| LoadError::folder(folder.path.join("classifier/config.json"), reason);
        let labels = config.labels().map_err(fault)?;
        let graph = engine.load(&folder.graph("classifier"))?;
        let ports = (|| {
            let sample = graph.ports.input(&["sample"], &[4])?;
            let timestep = graph.ports.input(&["timestep"], &[0, 1])?;
            let label = graph.ports.input(&["label"], &[1])?;
            graph.ports.only(&[sample, timestep, label])?;
            let gradient = graph.ports.output(&["gradient"], &[4])?;
            Ok([sample, timestep, label, gradient].map(Clone::clone))
        })();
        let [sample, timestep, label, gradient] = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Some(Self { graph, sample, timestep, label, gradient, labels }))
    }

    /// The names of the labels, in the order of their numbers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The number of a label that is given by its name, or by its number.
    pub fn find(&self, label: &str) -> Option<usize> {
        let named = self.labels.iter().position(|name| name == label);
        named.or_else(|| label.parse().ok().filter(|number| *number < self.labels.len()))
    }

    /// The gradient of log p(label | latents) with respect to the latents, in their shape.
    fn gradient(
        &self,
        latents: &Latents,
        timestep: f64,
        label: usize,
        watch: &dyn Watch,
    ) -> Result<Latents, PassError> {
        let entries = latents.len_of(Axis(0));
        let all = |port: &Port, value: f32| {
            let shape = if port.shape.is_empty() { vec![] } else { vec![entries] };
            Feed { port: port.clone(), value: ArrayD::from_elem(shape, value) }
        };
        let feeds = vec![
            Feed { port: self.sample.clone(), value: latents.clone().into_dyn() },
            all(&self.timestep, timestep as f32),
            all(&self.label, label as f32),
        ];
        let gradient = batch::run(&self.graph, entries, feeds, &self.gradient, watch)?;
        gradient
            .into_dimensionality::<Ix4>()
            .map_err(|error| PassError::Failed(format!("the classifier's values have the wrong shape: {error}")))
    }
}

/// A classifier with a label, for one run of a sampler.
pub struct Labelled<'a> {
    /// The classifier.
    pub classifier: &'a Classifier,
    /// The label's number.
    pub label: usize,
    /// Who is asked whether to stop.
    pub watch: &'a dyn Watch,
}

impl Steer for Labelled<'_> {
    fn gradient(&mut self, input: Input<'_>) -> Result<Latents, Halt> {
        self.classifier.gradient(input.latents, input.timestep, self.label, self.watch).map_err(Halt::new)
    }
}

#[derive(Deserialize)]
struct Config {
    id2label: BTreeMap<usize, String>,
}

impl Config {
    fn labels(self) -> Result<Vec<String>, String> {
        let count = self.id2label.len();
        if count == 0 {
            return Err("id2label must name at least one label, got none".to_owned());
        }
        if let Some((number, _)) = self.id2label.last_key_value().filter(|(number, _)| **number >= count) {
            return Err(format!("id2label must number its {count} labels from 0, got {number}"));
        }
        Ok(self.id2label.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Miniature, Notes, engine};
    use super::*;

    /// With a classifier that computes sample + label + timestep / 4096.
    fn model(labels: Value) -> Miniature {
        Miniature::new().with("classifier", "classifier").set("classifier/config.json", "id2label", labels)
    }

    fn load(model: &Miniature) -> Result<Option<Classifier>, LoadError> {
        Classifier::load(&engine(), &Folder::open(model.path()).unwrap())
    }

    fn fault(model: &Miniature) -> String {
        load(model).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_folder_without_a_classifier_has_none() {
        assert!(load(&Miniature::new()).unwrap().is_none());
    }

    #[test]
    fn labels_are_found_by_name_or_number() {
        let numbers = ["red", "blue", "0"].into_iter().cycle().take(11).enumerate();
        let labels: serde_json::Map<_, _> = numbers.map(|(at, name)| (at.to_string(), json!(name))).collect();
        let classifier = load(&model(labels.into())).unwrap().unwrap();
        assert_eq!(classifier.labels()[..3], ["red", "blue", "0"]);
        let found = ["blue", "1", "10", "0", "11", "green", "-1", ""].map(|label| classifier.find(label));
        // A name goes before a number.
        assert_eq!(found, [Some(1), Some(1), Some(10), Some(2), None, None, None, None]);
    }

    #[test]
    fn every_picture_of_a_batch_is_steered_to_the_label() {
        let classifier = load(&model(json!({"0": "red", "1": "blue"}))).unwrap().unwrap();
        let watch = Notes::default();
        let latents = Latents::from_shape_fn([2, 4, 2, 2], |(picture, ..)| picture as f32);
        let mut labelled = Labelled { classifier: &classifier, label: 1, watch: &watch };
        let input = Input { latents: &latents, timestep: 512.0, step: 0, steps: 1, progress: 0.0 };
        assert_eq!(labelled.gradient(input).unwrap(), latents + 1.125);
    }

    #[test]
    fn what_is_wrong_with_a_classifier_is_named() {
        let message = fault(&model(json!({"0": "red"})).without("classifier/config.json"));
        assert!(message.ends_with("classifier/config.json: the file is missing"), "{message}");
        let message = fault(&model(json!({})));
        assert!(
            message.ends_with("classifier/config.json: id2label must name at least one label, got none"),
            "{message}"
        );
        let message = fault(&model(json!({"0": "red", "2": "blue"})));
        assert!(message.ends_with("id2label must number its 2 labels from 0, got 2"), "{message}");
        let message = fault(&model(json!({"0": "red"})).with("classifier", "unet"));
        assert!(message.contains("classifier/model.onnx: the graph must have an input label of rank [1]"), "{message}");
    }
}
