//! What the graphs run on.

mod choice;
mod placement;

pub(super) use choice::Home;
pub use choice::{Arena, Choice};
pub(super) use placement::{Placement, Placements};

use std::collections::BTreeMap;
use std::path::Path;

use ort::ep::{ACL, CPU, CUDA, CoreML, ExecutionProvider, ExecutionProviderDispatch, OpenVINO, QNN, TensorRT, XNNPACK};

use self::choice::with;

use super::error::LoadError;
use super::library::Runtime;

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
    /// Intel OpenVINO, on processors and GPUs.
    OpenVino,
    /// Google's kernels for processors of phones and boards.
    Xnnpack,
    /// Arm Compute Library.
    Acl,
    /// Qualcomm AI Engine Direct.
    Qnn,
    /// Apple Core ML.
    CoreMl,
}

impl Accelerator {
    /// Every accelerator.
    pub const ALL: [Self; 8] =
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino, Self::Xnnpack, Self::Acl, Self::Qnn, Self::CoreMl];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::Xnnpack => "xnnpack",
            Self::Acl => "acl",
            Self::Qnn => "qnn",
            Self::CoreMl => "coreml",
        }
    }

    /// ONNX Runtime's name for it.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda => CUDA::NAME,
            Self::TensorRt => TensorRT::NAME,
            Self::OpenVino => OpenVINO::NAME,
            Self::Xnnpack => XNNPACK::NAME,
            Self::Acl => ACL::NAME,
            Self::Qnn => QNN::NAME,
            Self::CoreMl => CoreML::NAME,
        }
    }

    /// The accelerator of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|accelerator| accelerator.name() == name)
    }

    /// All names, for a sentence.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether nodes on this provider of ONNX Runtime's run on this accelerator.
    pub(super) fn takes(self, provider: &str) -> bool {
        provider == self.provider() || self == Self::TensorRt && provider == Self::Cuda.provider()
    }

    /// Those that the library was made with.
    fn in_library() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|accelerator| accelerator.is_in_library())
    }

    /// Those that a loaded library was made with.
    pub fn all_in(_library: &Runtime) -> Vec<Self> {
        Self::in_library().collect()
    }

    /// Whether the library was made with it; drivers and devices may be missing all the same.
    fn is_in_library(self) -> bool {
        let told = match self {
            Self::Cpu => Ok(true),
            Self::Cuda => CUDA::is_available(),
            Self::TensorRt => TensorRT::is_available(),
            Self::OpenVino => OpenVINO::is_available(),
            Self::Xnnpack => XNNPACK::is_available(),
            Self::Acl => ACL::is_available(),
            Self::Qnn => QNN::is_available(),
            Self::CoreMl => CoreML::is_available(),
        };
        told.unwrap_or(false)
    }
}

impl Choice {
    /// In the order in which ONNX Runtime is to offer them the nodes; the CPU is always last. `cache` is a folder for
    /// what they compile.
    pub(super) fn providers(
        &self,
        threads: Option<usize>,
        cache: Option<&Path>,
    ) -> Result<Vec<ExecutionProviderDispatch>, LoadError> {
        if !self.accelerator.is_in_library() {
            let have = Accelerator::in_library().map(Accelerator::name).collect::<Vec<_>>().join(", ");
            let reason = format!("this ONNX Runtime was made without it, it has: {have}");
            return Err(LoadError::Accelerator { name: self.accelerator.name(), reason });
        }
        let entries = self.entries(threads, cache);
        let providers = match self.accelerator {
            Accelerator::Cpu => vec![CPU::default().with_arena_allocator(self.arena != Arena::Off).build()],
            Accelerator::Cuda => vec![with(CUDA::default(), entries).build()],
            Accelerator::TensorRt => {
                let rest = Self { accelerator: Accelerator::Cuda, options: BTreeMap::new(), ..self.clone() };
                let rest = with(CUDA::default(), rest.entries(threads, None)).build();
                vec![with(TensorRT::default(), entries).build(), rest]
            }
            Accelerator::OpenVino => vec![with(OpenVINO::default(), entries).build()],
            Accelerator::Xnnpack => vec![with(XNNPACK::default(), entries).build()],
            Accelerator::Acl => vec![ACL::default().build()],
            Accelerator::Qnn => vec![with(QNN::default(), entries).build()],
            Accelerator::CoreMl => vec![with(CoreML::default(), entries).build()],
        };
        Ok(providers.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect())
    }
}
