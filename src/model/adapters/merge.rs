//! LoRAs become part of the weights they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ndarray::ArrayD;

use super::Scaled;
use crate::model::anatomy::Anatomy;
use crate::model::blueprint::Weight;
use crate::model::error::LoadError;
use crate::weights::lora::{Factors, Group, LoraError, LoraFile, merged, merged_bias};
use crate::weights::names::Part;

/// The modules to change, each with the LoRAs and the groups in them.
type Wanted = Vec<(String, Vec<(usize, usize)>)>;

/// The files of the LoRAs by their places. The threads read from them in turn and compute at once.
type Files = HashMap<usize, Mutex<LoraFile<BufReader<File>>>>;

/// The weights that LoRAs change, with all of them merged in.
///
/// Each is computed in 32-bit floats from the exported weight and then given the graph's own type. Several threads share the
/// work; none holds more than one weight and what changes it.
///
/// Weights that several modules share are made their own first, so that each can be changed alone.
pub(in crate::model) fn changed(graph: &mut Anatomy, part: Part, loras: &[Scaled]) -> Result<Vec<Weight>, LoadError> {
    let wanted = wanted(graph, part, loras);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let begun = Instant::now();
    graph.unshare();
    let weights = merged_by_all(graph, loras, &wanted)?;
    tracing::debug!(
        loras = loras.len(),
        weights = weights.len(),
        merge_ms = begun.elapsed().as_millis() as u64,
        "merged"
    );
    Ok(weights)
}

/// Each thread merges some.
fn merged_by_all(graph: &Anatomy, loras: &[Scaled], wanted: &Wanted) -> Result<Vec<Weight>, LoadError> {
    let files = &opened(wanted, loras)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let each = wanted.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work = |some| scope.spawn(move || Merger { graph, loras, files }.all(some));
        let running: Vec<_> = wanted.chunks(each).map(work).collect();
        let gone = || LoadError::Engine { reason: "a thread that merges weights ended".to_owned() };
        let parts = running.into_iter().map(|thread| thread.join().map_err(|_| gone())?);
        Ok(parts.collect::<Result<Vec<_>, LoadError>>()?.into_iter().flatten().collect())
    })
}

fn wanted(graph: &Anatomy, part: Part, loras: &[Scaled]) -> Wanted {
    let names = [(part, graph.modules())];
    let mut wanted: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, scaled) in loras.iter().enumerate().filter(|(_, scaled)| scaled.scale != 0.0) {
        for place in scaled.lora.fit(&names).places {
            wanted.entry(place.module).or_default().push((index, place.group));
        }
    }
    wanted.into_iter().collect()
}

fn opened(wanted: &Wanted, loras: &[Scaled]) -> Result<Files, LoadError> {
    let used: BTreeSet<usize> = wanted.iter().flat_map(|(_, groups)| groups).map(|(index, _)| *index).collect();
    let open = |index: usize| {
        let Scaled { name, path, .. } = &loras[index];
        let fault = |reason: String| LoadError::Adapter { name: name.clone(), reason };
        let file = File::open(path).map_err(|error| fault(error.to_string()))?;
        let file = LoraFile::open(BufReader::new(file)).map_err(|error| fault(error.to_string()))?;
        Ok((index, Mutex::new(file)))
    };
    used.into_iter().map(open).collect()
}

/// One thread's share.
struct Merger<'a> {
    graph: &'a Anatomy,
    loras: &'a [Scaled],
    files: &'a Files,
}

impl Merger<'_> {
    fn all(self, wanted: &[(String, Vec<(usize, usize)>)]) -> Result<Vec<Weight>, LoadError> {
        let each = wanted.iter().map(|(module, groups)| self.module(module, groups));
        Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn module(&self, module: &str, groups: &[(usize, usize)]) -> Result<Vec<Weight>, LoadError> {
        let factors = groups.iter().map(|&(index, group)| self.read(index, group)).collect::<Result<Vec<_>, _>>()?;
        let scales = groups.iter().map(|&(index, _)| self.loras[index].scale);
        let changes: Vec<(&Factors, f32)> = factors.iter().zip(scales).collect();
        let name = &self.loras[groups[0].0].name;
        let fault = |error: LoraError| LoadError::Adapter { name: name.clone(), reason: error.to_string() };
        let any =
            |has: fn(&Group) -> bool| groups.iter().any(|&(index, group)| has(&self.loras[index].lora.groups()[group]));
        let mut weights = Vec::new();
        if any(Group::has_weight) {
            weights.extend(self.parameter(module, "weight", |base| merged(base, &changes).map_err(fault))?);
        }
        if any(Group::has_bias) {
            weights.extend(self.parameter(module, "bias", |base| merged_bias(base, &changes).map_err(fault))?);
        }
        Ok(weights)
    }

    fn parameter(
        &self,
        module: &str,
        parameter: &str,
        change: impl FnOnce(ArrayD<f32>) -> Result<ArrayD<f32>, LoadError>,
    ) -> Result<Vec<Weight>, LoadError> {
        let absent = || self.graph.fault(format!("the module {module} must have a {parameter} that can be changed"));
        let place = self.graph.modules.get(module, parameter).ok_or_else(absent)?;
        if place.shared {
            let reason = format!("{parameter} of {module} is shared with other modules, it cannot be changed alone");
            return Err(self.graph.fault(reason));
        }
        self.graph.replaced(place, change(self.graph.weight(place)?)?)
    }

    /// The tensors of a group, out of the LoRA's file.
    fn read(&self, index: usize, group: usize) -> Result<Factors, LoadError> {
        let scaled = &self.loras[index];
        let fault = |reason: String| LoadError::Adapter { name: scaled.name.clone(), reason };
        let read = |name: &str| {
            // A thread that ended while it read left nothing behind: each reading begins anew.
            let tensor = self.files[&index].lock().unwrap_or_else(PoisonError::into_inner).read(name);
            tensor.and_then(|tensor| tensor.to_numbers(name)).map_err(|error| Fault(error.to_string()))
        };
        scaled.lora.groups()[group].read(read).map_err(|Fault(reason)| fault(reason))
    }
}

/// Why a group cannot be read.
struct Fault(String);

impl From<LoraError> for Fault {
    fn from(error: LoraError) -> Self {
        Self(error.to_string())
    }
}
