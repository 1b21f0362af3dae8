//! Which input of a node is which parameter.

use super::super::skeleton::Node;

/// What an input of a node is for the module that the node belongs to.
pub(super) struct Role {
    pub(super) input: usize,
    pub(super) parameter: &'static str,
    pub(super) form: Form,
    /// The inputs with the scale and the zero point of a weight of 8 bits; without them their names tell.
    pub(super) scale: Option<usize>,
    pub(super) zero_point: Option<usize>,
}

/// The form in which a node takes a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As torch has it.
    Plain,
    /// A matrix, [inputs, outputs].
    Transposed,
    /// A row of numbers, with ones after its length.
    Vector,
}

/// The roles of a node's inputs.
pub(super) fn roles(node: &Node) -> Vec<Role> {
    let role = |input, parameter, form| Role { input, parameter, form, scale: None, zero_point: None };
    let quantised = |input, form, scale, zero_point| Role { scale, zero_point, ..role(input, "weight", form) };
    let (plain, transposed, vector) = (Form::Plain, Form::Transposed, Form::Vector);
    match node.operator() {
        "MatMul" => vec![role(1, "weight", transposed)],
        "Gemm" => {
            let form = if node.integer("transB").unwrap_or(0) == 0 { transposed } else { plain };
            vec![role(1, "weight", form), role(2, "bias", plain)]
        }
        "Conv" | "ConvTranspose" => vec![role(1, "weight", plain), role(2, "bias", plain)],
        "Gather" if node.integer("axis").unwrap_or(0) == 0 => vec![role(0, "weight", plain)],
        "LayerNormalization" | "GroupNormalization" => vec![role(1, "weight", vector), role(2, "bias", vector)],
        // onnxruntime.quantization multiplies scales in nodes of the same module.
        "Mul" if !node.name().ends_with("_mul") => vec![role(0, "weight", vector), role(1, "weight", vector)],
        "Add" => vec![role(0, "bias", vector), role(1, "bias", vector)],
        // What onnxruntime.quantization and ONNX Runtime's optimiser make of them.
        "MatMulInteger" => vec![quantised(1, transposed, None, Some(3))],
        "ConvInteger" => vec![quantised(1, plain, None, Some(3))],
        "DynamicQuantizeMatMul" => vec![quantised(1, transposed, Some(2), Some(3))],
        "MatMulIntegerToFloat" => vec![quantised(1, transposed, Some(3), Some(5))],
        "QLinearMatMul" => vec![quantised(3, transposed, Some(4), Some(5))],
        // Not QLinearConv: its bias is a product of the weight's scale, and would have to change with it.
        _ => Vec::new(),
    }
}
