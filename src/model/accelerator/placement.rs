//! On what the nodes of a graph run. ONNX Runtime gives nodes that its accelerator does not take to the CPU without a
//! word; only its log tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ort::logging::{LogLevel, LoggerFunction};

/// How many nodes of a graph run on what, by ONNX Runtime's names.
pub(in crate::model) type Placement = Vec<(String, usize)>;

/// Listens while a session is made.
#[derive(Clone, Default)]
pub(in crate::model) struct Placements(Arc<Mutex<BTreeMap<String, usize>>>);

impl Placements {
    /// A logger for a session that tells everything. What an operator should know goes on to our log.
    pub(in crate::model) fn listener(&self) -> LoggerFunction {
        let heard = Arc::clone(&self.0);
        Arc::new(move |level, _category, _id, _place, message| {
            if let Some((provider, nodes)) = placed(message) {
                *heard.lock().unwrap_or_else(PoisonError::into_inner).entry(provider.to_owned()).or_default() += nodes;
            }
            match level {
                LogLevel::Warning => tracing::warn!(target: "onnxruntime", "{message}"),
                LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", "{message}"),
                LogLevel::Verbose | LogLevel::Info => {}
            }
        })
    }

    /// What was heard.
    pub(in crate::model) fn all(&self) -> Placement {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter().collect()
    }
}

/// `All nodes placed on [X]. Number of nodes: 7`, or one of several ` Node(s) placed on [X]. Number of nodes: 7`.
fn placed(message: &str) -> Option<(&str, usize)> {
    let (provider, nodes) = message.split_once("placed on [")?.1.split_once("]. Number of nodes: ")?;
    Some((provider, nodes.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_understood() {
        assert_eq!(
            placed(" All nodes placed on [CPUExecutionProvider]. Number of nodes: 1111"),
            Some(("CPUExecutionProvider", 1111))
        );
        assert_eq!(
            placed(" Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 3"),
            Some(("CUDAExecutionProvider", 3))
        );
        assert_eq!(placed("Node placements"), None);
        assert_eq!(placed("  Conv (conv_1)"), None);
    }
}
