//! ONNX Runtime and the accelerators: are they there, and do they compute?

use std::path::Path;

use super::finding::Finding;
use crate::config::Config;
use crate::model::{Accelerator, Choice, LoadError, Runtime, Trial};

/// What halves and fused kernels may differ by in a softmax.
const CLOSE: f32 = 2e-2;

pub(super) fn findings(config: Option<&Config>) -> Vec<Finding> {
    let setting = config.and_then(|config| config.engine.library.as_deref());
    let runtime = match Runtime::start(setting) {
        Ok(runtime) => runtime,
        Err(error) => {
            let fix =
                "install the package's library, run deploy/onnxruntime.sh, or set engine.library (docs/install.md)";
            return vec![Finding::fail("library", error.to_string(), fix)];
        }
    };
    let mut findings = vec![Finding::ok("library", format!("{}: {}", file(runtime.library()), runtime.build()))];
    let mut wanted: Vec<&Choice> = Vec::new();
    for choice in
        config.iter().flat_map(|config| [&config.engine.accelerator].into_iter().chain(config.engine.graphs.values()))
    {
        if !wanted.contains(&choice) {
            wanted.push(choice);
        }
    }
    let is_other = |one: &Accelerator| wanted.iter().all(|wanted| wanted.accelerator != *one);
    let others: Vec<Choice> = Accelerator::all_in(&runtime).into_iter().filter(is_other).map(Choice::from).collect();
    findings.extend(wanted.iter().map(|choice| tried(&runtime, choice, true)));
    findings.extend(others.iter().map(|choice| tried(&runtime, choice, false)));
    findings
}

/// The file behind links: its name has the version.
fn file(library: &Path) -> String {
    library.canonicalize().unwrap_or_else(|_| library.to_owned()).display().to_string()
}

/// What nobody has configured may be out of order.
fn tried(runtime: &Runtime, choice: &Choice, is_wanted: bool) -> Finding {
    let name = choice.accelerator.name();
    let (what, fix) = match Trial::new(runtime, choice) {
        Ok(trial) if trial.apart > CLOSE || !trial.apart.is_finite() => (
            format!("{name} computes something else than the processor, {} apart", trial.apart),
            "other drivers, or another library".to_owned(),
        ),
        Ok(trial) if trial.elsewhere > 0 => (
            format!("{name} leaves {} nodes of a small graph to the processor", trial.elsewhere),
            "see info.placements for those of the models".to_owned(),
        ),
        Ok(trial) => {
            return Finding::ok("accelerator", format!("{name} computes, {:.0e} from the processor", trial.apart));
        }
        Err(error) => (error.to_string(), cause(&error).to_owned()),
    };
    if is_wanted {
        Finding::fail("accelerator", what, fix)
    } else {
        Finding::warn("accelerator", format!("{what} (not configured)"), fix)
    }
}

/// Common reasons why CUDA does not start, by what it says.
fn cause(error: &LoadError) -> &'static str {
    let reason = error.to_string();
    let has = |sign: &str| reason.contains(sign);
    if has("was made without it") {
        "take a library that was made with it (docs/install.md), and set engine.library"
    } else if has("NvRmMem") || has("error 999") || has("CUDA failure 999") {
        "the user is not in the group of /dev/nvmap: sudo usermod -aG video USER, for the service --write-drop-in"
    } else if has("801") {
        "the render node /dev/dri/renderD* is missing or shut: add the group render, for the service --write-drop-in"
    } else if has("no CUDA-capable device") || has("failure 100") || has("error 100") {
        "no GPU is seen: PrivateDevices= or DevicePolicy= of the unit (--write-drop-in), or no driver"
    } else if has("failure 35") || has("driver version is insufficient") {
        "the driver is older than the library wants: take a library for its CUDA (docs/install.md)"
    } else if has(".so") {
        "a library of CUDA, cuDNN or TensorRT is missing: install those that this ONNX Runtime was made for (docs/install.md)"
    } else {
        "see docs/accelerators.md"
    }
}
