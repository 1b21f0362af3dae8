//! The tables `[mqtt]` and `[mqtt.tls]`: where the broker is, and how a connection to it is kept private.

use std::net::IpAddr;
use std::time::Duration;

use super::reader::{Reader, Section};
use crate::http::is_loopback;
use crate::mqtt::{Broker, ReplyPrefixes, Tls, TlsFault, TlsFiles, TlsPart, Transport};

/// Where a broker is, out of its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The path of a websocket.
    pub websocket: Option<String>,
    /// Whether the scheme is one with TLS.
    pub encrypted: bool,
}

pub(super) fn broker(reader: &mut Reader, node: &str) -> (Broker, ReplyPrefixes) {
    let mut section = reader.section("mqtt");
    let url = section.text("url").unwrap_or_else(|| "mqtt://127.0.0.1:1883".to_owned());
    let allowed = section.flag("allow_plaintext", false);
    let address = Address::parse(&url, allowed, "add allow_plaintext = true to [mqtt]");
    let address = address.map_err(|message| section.fault("url", message)).ok();
    let transport = tls(&mut section, address.as_ref());
    let address = address.unwrap_or_default();
    let broker = Broker {
        credentials: credentials(&mut section),
        client_id: client_id(&mut section, node),
        keep_alive: keep_alive(&mut section),
        session_expiry: section.duration("session_expiry", Duration::from_secs(24 * 3600), Duration::ZERO),
        max_packet: section.number("max_packet", 1_048_576, 1024..=268_435_455),
        host: address.host,
        port: address.port,
        transport,
    };
    let prefixes = ReplyPrefixes::new(section.texts("reply_prefixes"));
    let prefixes = prefixes.map_err(|message| section.fault("reply_prefixes", message)).unwrap_or_default();
    section.finish(&[]);
    (broker, prefixes)
}

/// Our name; the broker would draw one for us, another with each connection.
fn client_id(section: &mut Section<'_>, node: &str) -> String {
    let name = section.text("client_id").unwrap_or_else(|| format!("diffused-{node}"));
    if name.is_empty() {
        section.fault("client_id", "must not be empty".to_owned());
    }
    name
}

/// It has two bytes on the wire.
fn keep_alive(section: &mut Section<'_>) -> Duration {
    let time = section.duration("keep_alive", Duration::from_secs(30), Duration::from_secs(5));
    if time.as_secs() > u64::from(u16::MAX) {
        section.fault("keep_alive", "must be at most 18h".to_owned());
    }
    time
}

fn credentials(section: &mut Section<'_>) -> Option<(String, String)> {
    let password = section.secret("password_file");
    match (section.text("username"), password) {
        (Some(name), password) => Some((name, password.unwrap_or_default())),
        (None, Some(_)) => {
            section.fault("password_file", "needs a username beside it".to_owned());
            None
        }
        (None, None) => None,
    }
}

/// The table `[mqtt.tls]`; without an address only its keys are checked.
fn tls(section: &mut Section<'_>, address: Option<&Address>) -> Transport {
    let mut section = section.inner("tls", "mqtt.tls");
    let files = TlsFiles {
        ca: section.file("ca_file"),
        certificate: section.file("client_cert_file"),
        key: section.file("client_key_file"),
        server_name: section.text("server_name"),
    };
    let transport = address.map(|address| address.transport(&files)).unwrap_or(Ok(Transport::default()));
    let transport = transport.unwrap_or_else(|faults| {
        for TlsFault { part, message } in faults {
            section.fault(key(part), message);
        }
        Transport::default()
    });
    section.finish(&[]);
    transport
}

/// The key of `[mqtt.tls]` that gives a part.
fn key(part: TlsPart) -> &'static str {
    match part {
        TlsPart::Ca => "ca_file",
        TlsPart::Certificate => "client_cert_file",
        TlsPart::Key => "client_key_file",
        TlsPart::ServerName => "server_name",
    }
}

impl Address {
    /// Reads `mqtt://`, `mqtts://`, `ws://` and `wss://` URLs. Plain text beyond this machine needs to be allowed;
    /// `how` says in which way.
    pub fn parse(url: &str, allow_plaintext: bool, how: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "must be a URL such as mqtts://broker.lan:8883";
        // What stands there may be a password or a token, so the URL is not repeated.
        if url.contains('@') {
            return Err(format!("{EXAMPLE}, without a user name or password"));
        }
        if url.contains(['?', '#']) {
            return Err(format!("{EXAMPLE}, without anything after a ? or #"));
        }
        let unlike = || format!("{EXAMPLE}, got {url:?}");
        let (scheme, rest) = url.split_once("://").ok_or_else(unlike)?;
        let (encrypted, websocket, usual) = match scheme {
            "mqtt" | "tcp" => (false, false, 1883),
            "mqtts" => (true, false, 8883),
            "ws" => (false, true, 80),
            "wss" => (true, true, 443),
            _ => return Err(format!("must begin with mqtts://, mqtt://, wss:// or ws://, got {url:?}")),
        };
        let (place, path) = rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
        let path_fits =
            |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._~-%:+,=".contains(&byte));
        let websocket = match (websocket, path) {
            (false, None | Some("/")) => None,
            (true, path) if path.is_none_or(path_fits) => Some(path.unwrap_or("/mqtt").to_owned()),
            _ => return Err(unlike()),
        };
        let (host, port) = split(place, usual)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(plain) || (host.contains(':') && host.parse::<IpAddr>().is_err()) {
            return Err(unlike());
        }
        if !encrypted && !is_loopback(host) && !allow_plaintext {
            return Err(format!(
                "{host} is not this machine and {scheme}:// is not encrypted; use {}, or to allow that {how}",
                if websocket.is_some() { "wss://" } else { "mqtts://" }
            ));
        }
        Ok(Self { host: host.to_owned(), port, websocket, encrypted })
    }

    /// How to get there with these certificates, each checked.
    pub fn transport(&self, files: &TlsFiles) -> Result<Transport, Vec<TlsFault>> {
        if !self.encrypted {
            let useless = [
                (TlsPart::Ca, files.ca.is_some()),
                (TlsPart::Certificate, files.certificate.is_some()),
                (TlsPart::Key, files.key.is_some()),
                (TlsPart::ServerName, files.server_name.is_some()),
            ];
            let message = "is of no use without mqtts:// or wss://";
            let faults = useless.into_iter().filter(|(_, given)| *given);
            let faults: Vec<_> = faults.map(|(part, _)| TlsFault { part, message: message.to_owned() }).collect();
            let plain = Transport { websocket: self.websocket.clone(), tls: None };
            return if faults.is_empty() { Ok(plain) } else { Err(faults) };
        }
        Ok(Transport { websocket: self.websocket.clone(), tls: Some(Tls::new(files)?) })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split(place: &str, usual: u16) -> Result<(&str, u16), String> {
    let number = |port: &str| port.parse().map_err(|_| format!("the port must be a number up to 65535, got {port:?}"));
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if rest.is_empty() => Ok((host, usual)),
            None => Err(format!("the port must stand behind a colon, got {rest:?}")),
        };
    }
    match place.rsplit_once(':') {
        Some((host, port)) => Ok((host, number(port)?)),
        None => Ok((place, usual)),
    }
}

#[cfg(test)]
mod tests;
