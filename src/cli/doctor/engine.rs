//! ONNX Runtime and the accelerators: are they there, and do they compute?

use std::path::Path;

use super::finding::Finding;
use crate::config::Config;
use crate::model::{Accelerator, Choice, LoadError, Runtime, Trial};

const ABOUT: &str = "accelerator";
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
    let need = if config.is_some_and(|config| config.engine.strict) { Need::All } else { Need::Most };
    findings.extend(wanted.iter().map(|choice| judged(choice.accelerator, Trial::new(&runtime, choice), need)));
    findings
        .extend(others.iter().map(|choice| judged(choice.accelerator, Trial::new(&runtime, choice), Need::Nothing)));
    findings
}

/// What the configuration asks of an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nobody has configured it.
    Nothing,
    /// It has to work, and may leave nodes to the processor.
    Most,
    /// It has to take all nodes.
    All,
}

/// The file behind links: its name has the version.
fn file(library: &Path) -> String {
    library.canonicalize().unwrap_or_else(|_| library.to_owned()).display().to_string()
}

/// What nobody has configured may be out of order, and nodes may run elsewhere unless that is forbidden.
fn judged(accelerator: Accelerator, trial: Result<Trial, LoadError>, need: Need) -> Finding {
    let name = accelerator.name();
    let (works, what, fix) = match trial {
        Ok(trial) if trial.apart > CLOSE || !trial.apart.is_finite() => (
            false,
            format!("{name} computes something else than the processor, {} apart", trial.apart),
            "other drivers, or another library",
        ),
        Ok(trial) if trial.elsewhere > 0 => (
            need != Need::All,
            format!("{name} leaves {} nodes of a small graph to the processor", trial.elsewhere),
            "see info.placements for those of the models",
        ),
        Ok(trial) => {
            return Finding::ok(ABOUT, format!("{name} computes, {:.0e} from the processor", trial.apart));
        }
        Err(error) => (false, error.to_string(), cause(&error)),
    };
    match (need, works) {
        (Need::Nothing, _) => Finding::warn(ABOUT, format!("{what} (not configured)"), fix),
        (_, true) => Finding::warn(ABOUT, what, fix),
        (_, false) => Finding::fail(ABOUT, what, fix),
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

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn only_what_is_configured_can_be_broken_and_nodes_elsewhere_only_where_that_is_forbidden() {
        let level = |elsewhere, apart, need| judged(Accelerator::Xnnpack, Ok(Trial { elsewhere, apart }), need).level;
        for need in [Need::Nothing, Need::Most, Need::All] {
            assert_eq!(level(0, 1e-3, need), Level::Ok);
        }
        let levels =
            |elsewhere, apart| [Need::Nothing, Need::Most, Need::All].map(|need| level(elsewhere, apart, need));
        assert_eq!(levels(2, 0.0), [Level::Warn, Level::Warn, Level::Fail]);
        assert_eq!(levels(0, 0.5), [Level::Warn, Level::Fail, Level::Fail]);
        assert_eq!(levels(0, f32::INFINITY), [Level::Warn, Level::Fail, Level::Fail]);
    }
}
