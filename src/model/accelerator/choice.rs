//! An accelerator with its settings, and what they are called in ONNX Runtime.

use std::collections::BTreeMap;
use std::path::Path;

use ort::ep::ArbitrarilyConfigurableExecutionProvider;

use super::Accelerator;

/// An accelerator with its settings. Which of them it knows is told by [`Accelerator::settings`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What computes.
    pub accelerator: Accelerator,
    /// Which of several devices: a number, or for OpenVINO a name such as `GPU.0`.
    pub device: Option<String>,
    /// Bytes of the device's memory that may be taken.
    pub memory: Option<u64>,
    /// Whether to compute in half precision whatever precision the graph has.
    pub fp16: bool,
    /// Whether the work of a pass is recorded and replayed; for fixed shapes.
    pub cuda_graph: bool,
    /// The deep learning accelerator to use, by its number.
    pub dla: Option<u32>,
    /// How memory is asked for.
    pub arena: Arena,
    /// Whether weights stay as they are stored: those in 16 bits are widened in every pass, and not once for all.
    pub compact: bool,
    /// Sizes for dimensions that a graph leaves free, by the names that it gives them.
    pub dimensions: BTreeMap<String, u32>,
    /// Settings of ONNX Runtime's own, handed over as they are; they go before all others.
    pub options: BTreeMap<String, String>,
}

/// Where a graph wants its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Home {
    /// In the process's memory.
    Host,
    /// In the memory of a CUDA device, by its number.
    Cuda(i32),
}

/// How a session asks for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arena {
    /// In doubling steps, and keeps it: fastest.
    #[default]
    Grow,
    /// As much as is needed at a time, and keeps it.
    Tight,
    /// For every tensor anew: smallest.
    Off,
}

impl Arena {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Grow, Self::Tight, Self::Off];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grow => "grow",
            Self::Tight => "tight",
            Self::Off => "off",
        }
    }
}

impl Accelerator {
    /// The settings that it knows; `options` all but the CPU and ACL.
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["arena", "compact"],
            Self::Cuda => &["device", "memory", "cuda_graph", "arena", "options"],
            Self::TensorRt => &["device", "memory", "fp16", "cuda_graph", "dla", "arena", "options"],
            Self::OpenVino => &["device", "fp16", "options"],
            Self::Acl => &[],
            Self::Xnnpack | Self::Qnn | Self::CoreMl => &["options"],
        }
    }

    /// The ways in which it can ask for memory.
    pub fn arenas(self) -> &'static [Arena] {
        match self {
            Self::Cpu => &[Arena::Grow, Arena::Off],
            Self::Cuda | Self::TensorRt => &[Arena::Grow, Arena::Tight],
            _ => &[Arena::Grow],
        }
    }
}

impl From<Accelerator> for Choice {
    /// With no setting made.
    fn from(accelerator: Accelerator) -> Self {
        Self { accelerator, ..Self::default() }
    }
}

impl Choice {
    /// Where its graphs want their values.
    pub(in crate::model) fn home(&self) -> Result<Home, String> {
        match (self.accelerator, self.device.as_deref()) {
            (Accelerator::Cuda | Accelerator::TensorRt, Some(device)) => device
                .parse()
                .map(Home::Cuda)
                .map_err(|_| format!("device must be the number of a CUDA device, got {device}")),
            (Accelerator::Cuda | Accelerator::TensorRt, None) => Ok(Home::Cuda(0)),
            _ => Ok(Home::Host),
        }
    }

    /// The same settings as one of ONNX Runtime's providers names them. `cache` is a folder for what it compiles.
    pub(super) fn entries(&self, threads: Option<usize>, cache: Option<&Path>) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                entries.insert(key.to_owned(), value);
            }
        };
        let flag = |flag: bool| flag.then(|| "1".to_owned());
        let folder = cache.map(|folder| folder.to_string_lossy().into_owned());
        match self.accelerator {
            Accelerator::Cuda => {
                set("device_id", self.device.clone());
                set("gpu_mem_limit", self.memory.map(|bytes| bytes.to_string()));
                set("enable_cuda_graph", flag(self.cuda_graph));
                set("arena_extend_strategy", (self.arena == Arena::Tight).then(|| "kSameAsRequested".to_owned()));
            }
            Accelerator::TensorRt => {
                set("device_id", self.device.clone());
                set("trt_max_workspace_size", self.memory.map(|bytes| bytes.to_string()));
                set("trt_fp16_enable", flag(self.fp16));
                set("trt_cuda_graph_enable", flag(self.cuda_graph));
                set("trt_dla_enable", flag(self.dla.is_some()));
                set("trt_dla_core", self.dla.map(|core| core.to_string()));
                for (enable, path) in [
                    ("trt_engine_cache_enable", "trt_engine_cache_path"),
                    ("trt_timing_cache_enable", "trt_timing_cache_path"),
                ] {
                    set(enable, flag(folder.is_some()));
                    set(path, folder.clone());
                }
            }
            Accelerator::OpenVino => {
                // Left to itself it computes in bfloat16 where the processor can, and says so nowhere.
                set("precision", Some(if self.fp16 { "FP16" } else { "FP32" }.to_owned()));
                set("device_type", Some(self.device.clone().unwrap_or_else(|| "CPU".to_owned())));
                set("num_of_threads", threads.map(|threads| threads.to_string()));
                set("cache_dir", folder);
            }
            Accelerator::Xnnpack => set("intra_op_num_threads", threads.map(|threads| threads.to_string())),
            Accelerator::Cpu | Accelerator::Acl | Accelerator::Qnn | Accelerator::CoreMl => {}
        }
        entries.extend(self.options.clone());
        entries
    }
}

/// A provider with these settings.
pub(super) fn with<E: ArbitrarilyConfigurableExecutionProvider>(provider: E, entries: BTreeMap<String, String>) -> E {
    entries.into_iter().fold(provider, |provider, (key, value)| provider.with_arbitrary_config(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(choice: &Choice) -> Vec<String> {
        let entries = choice.entries(Some(2), Some(Path::new("/c")));
        entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn settings_have_the_names_of_their_provider_and_raw_options_go_before_them() {
        let options = BTreeMap::from([("trt_fp16_enable".to_owned(), "0".to_owned())]);
        let choice = Choice { device: Some("1".to_owned()), fp16: true, options, ..Accelerator::TensorRt.into() };
        let wanted = ["device_id=1", "trt_engine_cache_enable=1", "trt_engine_cache_path=/c", "trt_fp16_enable=0"];
        assert_eq!(told(&choice)[..4], wanted);
        assert_eq!(told(&Choice { memory: Some(5), ..Accelerator::Cuda.into() }), ["gpu_mem_limit=5"]);
        let openvino = ["cache_dir=/c", "device_type=CPU", "num_of_threads=2", "precision=FP32"];
        assert_eq!(told(&Accelerator::OpenVino.into()), openvino);
    }

    #[test]
    fn nothing_is_said_that_was_not_asked_for() {
        for accelerator in [Accelerator::Cpu, Accelerator::Cuda, Accelerator::Qnn, Accelerator::CoreMl] {
            assert_eq!(Choice::from(accelerator).entries(None, None), BTreeMap::new());
        }
    }
}
