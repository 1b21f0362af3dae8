//! Hypernetworks: small networks before the keys and values of attention.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::modules::module_of;
use super::super::skeleton::{Node, Port};
use super::super::{Element, Modules, Skeleton};
use super::mlp::{Mlp, Writer};
use super::{Unfit, cone};

/// A hypernetwork.
#[derive(Clone, Debug)]
pub struct Net {
    /// By the width of what they are given: the network before keys and the one before values.
    pub widths: BTreeMap<usize, [Mlp; 2]>,
}

/// The projections that a hypernetwork acts on; those of values are at odd places.
const PROJECTIONS: [&str; 4] = [".attn1.to_k", ".attn1.to_v", ".attn2.to_k", ".attn2.to_v"];

/// Lets keys and values be made of `x + strength * net(x)` instead of `x`, in every attention layer with an `x` of a width
/// that a net has; several nets follow one another in their order (as A1111 has it).
///
/// The answer has for each net the name of an input that takes its strength, one f32 without dimensions.
pub fn hypernetworks(skeleton: &mut Skeleton, modules: &Modules, nets: &[Net]) -> Result<Vec<String>, Unfit> {
    let targets = targets(skeleton, modules);
    for net in nets {
        let has: BTreeSet<usize> = targets.iter().map(|target| target.width).collect();
        if !net.widths.keys().any(|width| has.contains(width)) {
            let wants: Vec<&usize> = net.widths.keys().collect();
            return Err(Unfit(format!("keys and values of a width out of {wants:?} were looked for, got {has:?}")));
        }
    }
    let strengths: Vec<String> = (0..nets.len()).map(|index| format!("hypernetwork_strength.{index}")).collect();
    if let Some(taken) = strengths.iter().find(|name| skeleton.has_value(name)) {
        return Err(Unfit(format!("it already has a value called {taken}")));
    }
    let mut surgeon = Surgeon { nets, strengths: &strengths, chains: HashMap::new(), inserted: Vec::new() };
    for target in &targets {
        surgeon.operate(skeleton, target);
    }
    let mut inserted = surgeon.inserted;
    inserted.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    for (place, nodes) in inserted {
        skeleton.insert(place, nodes);
    }
    skeleton.inputs.extend(strengths.iter().map(|name| Port::tensor(name, Element::F32, &[])));
    Ok(strengths)
}

/// What projections of one kind have in common that read the same value.
type Reads = (String, usize, Option<usize>);

/// A value and the one that takes its place.
type Replaced = (String, String);

/// A projection to keys or values.
struct Target {
    module: String,
    /// 0 for keys, 1 for values.
    kind: usize,
    /// The first of its nodes.
    place: usize,
    /// What it projects, and how wide that is.
    x: String,
    width: usize,
    element: Element,
    /// The node that turns `x` into integers, if the projection has 8 bits.
    quantiser: Option<usize>,
}

fn targets(skeleton: &Skeleton, modules: &Modules) -> Vec<Target> {
    let target = |(place, node): (usize, &Node)| {
        if !["MatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"].contains(&node.operator()) {
            return None;
        }
        let module = module_of(node)?;
        let kind = PROJECTIONS.iter().position(|end| module.ends_with(end))? % 2;
        let [_, width] = modules.get(&module, "weight")?.shape[..] else { return None };
        let given = node.input(0)?;
        let quantiser = skeleton.producer(given);
        let quantiser = quantiser.filter(|&place| skeleton.nodes[place].operator() == "DynamicQuantizeLinear");
        let x = quantiser.map_or(Some(given), |place| skeleton.nodes[place].input(0))?.to_owned();
        let element = cone::element(skeleton, node.input(1)?);
        Some(Target { module, kind, place, x, width, element, quantiser })
    };
    skeleton.nodes.iter().enumerate().filter_map(target).collect()
}

/// What has been done so far.
struct Surgeon<'a> {
    nets: &'a [Net],
    strengths: &'a [String],
    /// What stands for a value in projections of one kind: layers that read the same text share it.
    chains: HashMap<Reads, Vec<Replaced>>,
    /// Nodes and the places before which they are to stand.
    inserted: Vec<(usize, Vec<Node>)>,
}

impl Surgeon<'_> {
    fn operate(&mut self, skeleton: &mut Skeleton, target: &Target) {
        if !self.nets.iter().any(|net| net.widths.contains_key(&target.width)) {
            return;
        }
        let key = (target.x.clone(), target.kind, target.quantiser);
        if !self.chains.contains_key(&key) {
            let (nodes, replaced) = self.chain(skeleton, target);
            self.inserted.push((target.place, nodes));
            self.chains.insert(key.clone(), replaced);
        }
        let Some(replaced) = self.chains.get(&key) else { return };
        for (from, to) in replaced {
            let reads = |node: &Node| node.inputs().contains(from);
            let own = |node: &&mut Node| reads(node) && module_of(node).as_ref() == Some(&target.module);
            skeleton.nodes.iter_mut().filter(own).for_each(|node| node.replace(from, to));
        }
    }

    /// The nodes of all nets before a projection, and which values they replace by which.
    fn chain(&self, skeleton: &mut Skeleton, target: &Target) -> (Vec<Node>, Vec<Replaced>) {
        let quantiser = target.quantiser.map(|place| skeleton.nodes[place].clone());
        let kind = ["key", "value"][target.kind];
        let prefix = format!("/hypernetwork/{kind}/{}", target.module);
        let mut writer = Writer::new(skeleton, prefix, target.element);
        let mut x = target.x.clone();
        for (index, net) in self.nets.iter().enumerate() {
            let Some(pair) = net.widths.get(&target.width) else { continue };
            let made = writer.mlp(&pair[target.kind], &format!("hypernetwork.{index}.{}.{kind}", target.width), &x);
            let strength = writer.strength(&self.strengths[index]);
            let change = writer.node("Mul", &[&made, &strength]);
            x = writer.node("Add", &[&x, &change]);
        }
        match quantiser {
            None => (writer.nodes(), vec![(target.x.clone(), x)]),
            Some(quantiser) => {
                let outputs = writer.again(&quantiser, &x);
                (writer.nodes(), quantiser.outputs().iter().cloned().zip(outputs).collect())
            }
        }
    }
}
