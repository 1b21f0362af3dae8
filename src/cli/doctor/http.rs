//! The pages: can they be served where they should be, and who sees them?

use super::finding::Finding;
use crate::config::Config;
use crate::http::{Found, probe};

const ABOUT: &str = "http";

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let Some(listen) = config.http else { return Vec::new() };
    let place = listen.address();
    let port = match probe(listen) {
        Found::Nobody => Finding::ok(ABOUT, format!("{place} is free for the service")),
        Found::Node => Finding::ok(ABOUT, format!("{place}: a node answers")),
        Found::Another => Finding::fail(
            ABOUT,
            format!("another program listens on {place}"),
            "set http.listen to another port, or stop that program: the service does not start without its port",
        ),
        Found::Unfit(reason) => {
            Finding::fail(ABOUT, format!("{place}: {reason}"), "set http.listen to an address of this machine")
        }
    };
    let open = listen.is_remote().then(|| {
        let what = format!("whoever reaches {place} sees the state and the newest pictures, without a password");
        let fix = "listen on 127.0.0.1, with a reverse proxy that asks for one before it (docs/metrics.md)";
        Finding::warn(ABOUT, what, fix)
    });
    [port].into_iter().chain(open).collect()
}
