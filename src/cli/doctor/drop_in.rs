//! The unit's drop-in for a board with a GPU: what the service may use of it.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::board::Node;

/// Where it belongs.
pub(super) const PATH: &str = "/etc/systemd/system/diffused.service.d/gpu.conf";

/// The drop-in for these device nodes.
///
/// CUDA and TensorRT compile code, and their libraries ask for an executable stack. A group that the system does not
/// have would keep the unit from starting, so only those that own a node are named.
pub(super) fn text(nodes: &[Node]) -> String {
    let groups: BTreeSet<&str> =
        nodes.iter().filter(|node| !node.is_open).filter_map(|node| node.group.as_deref()).collect();
    let mut text = "# Written by diffused doctor --write-drop-in: what the service may use of this board's GPU.\n\
        # After it: systemctl daemon-reload && systemctl restart diffused\n[Service]\n"
        .to_owned();
    if !groups.is_empty() {
        let groups: Vec<&str> = groups.into_iter().collect();
        let _ = writeln!(text, "SupplementaryGroups={}", groups.join(" "));
    }
    text.push_str("PrivateDevices=no\nMemoryDenyWriteExecute=no\nDevicePolicy=closed\n");
    for node in nodes {
        let _ = writeln!(text, "DeviceAllow={} rw", node.path.display());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_once_and_only_where_they_are_needed() {
        let node = |path: &str, group: Option<&str>, is_open| Node {
            path: path.into(),
            group: group.map(str::to_owned),
            is_open,
        };
        let nodes = [
            node("/dev/nvmap", Some("video"), false),
            node("/dev/nvgpu/igpu0/ctrl", Some("video"), false),
            node("/dev/dri/renderD128", Some("render"), false),
            node("/dev/nvidia0", Some("odd"), true),
            node("/dev/nvhost-ctrl", None, false),
        ];
        let text = text(&nodes);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[..2], ["[Service]", "SupplementaryGroups=render video"]);
        assert_eq!(lines[5], "DeviceAllow=/dev/nvmap rw");
        assert_eq!(lines.len(), 10);
    }
}
