//! Paths of torch modules, as the names of nodes and values spell them.

use super::super::skeleton::Node;

/// The first parts of the paths of diffusers' and transformers' modules.
const ROOTS: [&str; 18] = [
    "add_embedding",
    "class_embedding",
    "conv_in",
    "conv_norm_out",
    "conv_out",
    "decoder",
    "down_blocks",
    "encoder",
    "mid_block",
    "post_quant_conv",
    "quant_conv",
    "text_model",
    "text_projection",
    "time_embedding",
    "up_blocks",
    "vision_model",
    "visual_projection",
    "logit_scale",
];

/// The module of a node: `/unet/down_blocks.0/attn2/to_k/MatMul` is in `down_blocks.0.attn2.to_k`.
pub(super) fn of_node(name: &str) -> Option<String> {
    let (module, _) = name.trim_start_matches('/').rsplit_once('/')?;
    let path = canonical(&module.replace('/', "."));
    // Others compute with constants that are no parameters, as the embedding of the time does.
    path.split('.').next().is_some_and(|root| ROOTS.contains(&root)).then_some(path)
}

/// The module of a node by its name, else by that of a parameter that it takes.
pub(in super::super) fn module_of(node: &Node) -> Option<String> {
    let by_value = || node.inputs().iter().find_map(|input| of_value(input)).map(|(module, _)| module);
    of_node(node.name()).or_else(by_value)
}

/// Module and parameter of a value that kept its name: `model.conv_in.weight`.
pub(super) fn of_value(name: &str) -> Option<(String, &'static str)> {
    let name = name.strip_suffix("_quantized").unwrap_or(name);
    let (module, parameter) = name.rsplit_once('.')?;
    let parameter = PARAMETERS.into_iter().find(|known| *known == parameter)?;
    let named = !module.starts_with('/') && !module.contains(':');
    named.then(|| (canonical(module), parameter))
}

/// The parameters that modules have.
const PARAMETERS: [&str; 2] = ["weight", "bias"];

/// Without what a wrapper put before a path.
fn canonical(path: &str) -> String {
    let steps: Vec<&str> = path.split('.').collect();
    let start = steps.iter().position(|step| ROOTS.contains(step)).unwrap_or(0);
    steps[start..].join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_does_not_change_a_path() {
        for name in ["/conv_in/Conv", "/model/conv_in/Conv", "/unet/conv_in/Conv_1", "conv_in/Conv"] {
            assert_eq!(of_node(name).as_deref(), Some("conv_in"));
        }
        assert_eq!(
            of_node("/model/text_model/encoder/layers.1/mlp/fc1/MatMul").as_deref(),
            Some("text_model.encoder.layers.1.mlp.fc1")
        );
        assert_eq!(
            of_value("unet.mid_block.resnets.0.conv1.bias"),
            Some(("mid_block.resnets.0.conv1".to_owned(), "bias"))
        );
        // TAESD's layers have no other name than their number.
        assert_eq!(of_node("/decoder/layers.3/conv/conv.0/Conv").as_deref(), Some("decoder.layers.3.conv.conv.0"));
    }

    #[test]
    fn names_without_a_path_say_nothing() {
        assert_eq!((of_node("MatMul_12"), of_value("onnx::MatMul_12")), (None, None));
        assert_eq!(of_node("/time_proj/Mul"), None);
        assert_eq!(of_value("/down_blocks.0/Constant_output_0.weight"), None);
    }
}
