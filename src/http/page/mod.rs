//! `/`: the node for a person with a browser. One file, readable without its script, which only keeps it fresh.

mod html;
mod now;
mod pictures;
mod words;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use self::html::escaped;
use crate::service::Snapshot;
use crate::service::store::Recent;

/// How the page looks.
const STYLE: &str = include_str!("page.css");
/// The picture of the page in a browser's list.
pub(super) const ICON: &str = include_str!("icon.svg");
/// Asks for the page again and again, and puts in what has changed.
const SCRIPT: &str = include_str!("page.js");
/// Seconds after which a browser without scripts loads the page again.
const REFRESH: u32 = 10;

/// What the page tells.
pub(super) struct Page<'a> {
    /// The node's name.
    pub(super) node: &'a str,
    /// The board.
    pub(super) device: Option<&'a str>,
    pub(super) now: &'a Snapshot,
    /// The newest pictures, the newest first.
    pub(super) recent: &'a [Recent],
}

/// Style and script of the page. A browser takes these two and no others: whatever a text from outside might contain,
/// it is not run.
pub(super) struct Inline {
    style: String,
    script: String,
}

impl Inline {
    pub(super) fn new() -> Self {
        let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        Self { style: digest(STYLE), script: digest(SCRIPT) }
    }

    /// As Content-Security-Policy writes it.
    pub(super) fn sources(&self) -> String {
        format!("style-src {}; script-src {}; ", self.style, self.script)
    }
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn html(&self) -> String {
        let (node, lifecycle) = (escaped(self.node), self.now.lifecycle());
        let device = self.device.map_or_else(String::new, |device| format!("<p>{}</p>", escaped(device)));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"icon\" href=\"/icon.svg\">\n\
             <noscript><meta http-equiv=\"refresh\" content=\"{REFRESH}\"></noscript>\n\
             <title>{node}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <header><h1>{node}</h1>{device}</header>\n\
             <p class=\"lost\" role=\"alert\">The node does not answer. What stands below is what it said last.</p>\n\
             <main>\n<div id=\"now\">\n{}</div>\n<div id=\"pictures\">\n{}</div>\n</main>\n\
             <footer><p>diffused {}</p><nav><a href=\"/readyz\">ready?</a> <a href=\"/livez\">alive?</a> \
             <a href=\"/metrics\">metrics</a></nav></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            lifecycle.name(),
            now::html(self.now),
            pictures::html(self.recent),
            env!("CARGO_PKG_VERSION"),
        )
    }
}

#[cfg(test)]
mod tests;
