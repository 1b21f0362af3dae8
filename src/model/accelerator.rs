//! What the graphs run on.

use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};

/// What the graphs run on. One that cannot be had is an error, never a silent fall-back to the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// ONNX Runtime's own kernels on the processor.
    #[default]
    Cpu,
    /// NVIDIA CUDA and cuDNN.
    Cuda,
    /// NVIDIA TensorRT, with CUDA for the nodes that it does not take.
    TensorRt,
}

impl Accelerator {
    /// Every accelerator.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::TensorRt];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }

    /// The accelerator of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|accelerator| accelerator.name() == name)
    }

    /// In the order in which ONNX Runtime is to offer them the nodes; the CPU is always last and needs no mention.
    pub(super) fn providers(self) -> Vec<ExecutionProviderDispatch> {
        let cuda = || CUDA::default().build().error_on_failure();
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda => vec![cuda()],
            Self::TensorRt => vec![TensorRT::default().build().error_on_failure(), cuda()],
        }
    }
}
