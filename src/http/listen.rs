//! Where the pages are served, and to whom.

use std::net::{IpAddr, SocketAddr};

/// An address to listen on, and what may be asked for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(SocketAddr);

/// Why nothing is served there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// No address with a port.
    #[error("must be an address and a port such as 127.0.0.1:9464, or nothing, got {0:?}")]
    Address(String),
    /// Other machines may reach it, and nobody said that they may.
    #[error(
        "{0} can be reached from other machines, and who reaches it sees every picture; to allow that add \
         allow_remote = true to [http]"
    )]
    Remote(SocketAddr),
}

impl Listen {
    /// Nothing for an empty text. What is not loopback needs `allow_remote`.
    pub fn new(text: &str, allow_remote: bool) -> Result<Option<Self>, ListenError> {
        if text.is_empty() {
            return Ok(None);
        }
        let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
        let listen = Self(address.ok_or_else(|| ListenError::Address(text.to_owned()))?);
        match listen.is_remote() && !allow_remote {
            true => Err(ListenError::Remote(listen.0)),
            false => Ok(Some(listen)),
        }
    }

    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }

    /// Whether other machines may reach it.
    pub fn is_remote(self) -> bool {
        !self.0.ip().is_loopback()
    }

    /// Whether a request that names this host is meant for us, by its header `Host`.
    ///
    /// On loopback only loopback's names are: a website could else let its own name lead here, and its scripts read
    /// what the visitor's machine shows (DNS rebinding).
    pub(super) fn answers_to(self, host: &str) -> bool {
        self.is_remote() || is_loopback(without_port(host))
    }
}

/// Whether a host, by its name or its address without brackets, is this machine seen from itself.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_served_unless_an_address_is_given_and_to_others_only_if_that_is_allowed() {
        assert_eq!(Listen::new("", true), Ok(None));
        for local in ["127.0.0.1:9464", "127.1.2.3:80", "[::1]:9464"] {
            assert!(Listen::new(local, false).unwrap().is_some_and(|listen| !listen.is_remote()), "{local}");
        }
        for remote in ["0.0.0.0:9464", "192.168.1.7:9464", "[::]:9464", "[fd00::7]:80", "[::ffff:10.0.0.7]:80"] {
            let refused = Listen::new(remote, false).unwrap_err().to_string();
            assert!(refused.contains("allow_remote = true"), "{refused}");
            assert!(Listen::new(remote, true).unwrap().is_some_and(Listen::is_remote), "{remote}");
        }
        for wrong in ["9464", "127.0.0.1", "localhost:9464", "127.0.0.1:0", "127.0.0.1:70000", "::1:9464", " "] {
            let refused = Listen::new(wrong, true).unwrap_err();
            assert_eq!(refused, ListenError::Address(wrong.to_owned()));
        }
    }

    #[test]
    fn on_loopback_only_its_own_names_are_answered() {
        let local = Listen::new("127.0.0.1:9464", false).unwrap().unwrap();
        for own in ["localhost", "LocalHost:9464", "127.0.0.1:9464", "127.0.0.1", "[::1]:8080", "[::1]"] {
            assert!(local.answers_to(own), "{own}");
        }
        for foreign in
            ["", "evil.example", "localhost.evil.example:9464", "127.0.0.1.evil.example", "10.0.0.7", "[fd00::7]:80"]
        {
            assert!(!local.answers_to(foreign), "{foreign}");
        }
        assert!(Listen::new("0.0.0.0:9464", true).unwrap().unwrap().answers_to("box.lan"));
    }
}
