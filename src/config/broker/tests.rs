//! Where a broker is, what it is told, and what is refused before anything is connected.

use std::path::Path;

use super::*;
use crate::config::{Config, Fault};

const HOW: &str = "add allow_plaintext = true to [mqtt]";

fn place(url: &str) -> (String, u16, Option<String>, bool) {
    let address = Address::parse(url, true, HOW).unwrap();
    (address.host, address.port, address.websocket, address.encrypted)
}

#[test]
fn every_scheme_has_its_usual_port_and_websockets_a_path() {
    let path = |path: &str| Some(path.to_owned());
    for (url, expected) in [
        ("mqtt://broker.lan", ("broker.lan".to_owned(), 1883, None, false)),
        ("mqtts://broker.lan/", ("broker.lan".to_owned(), 8883, None, true)),
        ("ws://broker.lan", ("broker.lan".to_owned(), 80, path("/mqtt"), false)),
        ("wss://broker.lan", ("broker.lan".to_owned(), 443, path("/mqtt"), true)),
        ("wss://broker.lan:8084/", ("broker.lan".to_owned(), 8084, path("/"), true)),
        ("ws://10.0.0.7:9001/a/b", ("10.0.0.7".to_owned(), 9001, path("/a/b"), false)),
        ("mqtts://[fd00::7]", ("fd00::7".to_owned(), 8883, None, true)),
        ("mqtt://[::1]:1884", ("::1".to_owned(), 1884, None, false)),
    ] {
        assert_eq!(place(url), expected, "{url}");
    }
}

#[test]
fn what_is_no_broker_is_refused() {
    for url in [
        "",
        "broker.lan",
        "http://broker.lan",
        "mqtt://",
        "mqtts://:8883",
        "mqtt://broker.lan:x",
        "mqtt://broker.lan:70000",
        "mqtt://broker.lan/mqtt",
        "mqtt://a b",
        "ws://a/b c",
        "mqtt://::1",
        "mqtt://[::1",
        "mqtt://[::1]1883",
        "mqtt://a:b:1",
    ] {
        assert!(Address::parse(url, true, HOW).is_err(), "{url}");
    }
}

#[test]
fn plain_text_beyond_this_machine_must_be_allowed() {
    for url in
        ["mqtt://broker.lan:1883", "ws://broker.lan", "mqtt://127.evil.example", "mqtt://[fd00::7]", "mqtt://0.0.0.0"]
    {
        assert!(Address::parse(url, false, HOW).unwrap_err().contains(HOW), "{url}");
        assert!(Address::parse(url, true, HOW).is_ok(), "{url}");
    }
    for url in ["mqtt://127.0.0.1", "mqtt://localhost", "ws://[::1]:9001", "mqtts://broker.lan", "wss://broker.lan"] {
        assert!(Address::parse(url, false, HOW).is_ok(), "{url}");
    }
}

#[test]
fn a_secret_in_a_url_is_refused_and_not_repeated() {
    for url in ["mqtts://user:secret@broker.lan", "wss://broker.lan/mqtt?token=secret", "wss://broker.lan/#secret"] {
        assert!(!Address::parse(url, true, HOW).unwrap_err().contains("secret"), "{url}");
    }
}

fn faults(folder: &Path, text: &str) -> Vec<String> {
    let error = Config::parse(text, &folder.join("diffused.toml")).unwrap_err();
    error.faults.iter().map(Fault::to_string).collect()
}

#[test]
fn a_password_comes_from_a_file_and_never_stands_in_a_message() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
    let text = "[mqtt]\nusername = 'jet'\npassword_file = 'password'";
    let config = Config::parse(text, &folder.path().join("diffused.toml")).unwrap();
    assert_eq!(config.broker.credentials, Some(("jet".to_owned(), "hunter2".to_owned())));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn tls_files_without_tls_are_a_fault_instead_of_a_false_sense_of_safety() {
    let text = "[mqtt]\nurl = 'mqtt://127.0.0.1'\ntls = { ca_file = 'ca.pem', server_name = 'broker' }";
    let message = "is of no use without mqtts:// or wss://";
    let expected = [format!("mqtt.tls.ca_file: {message}"), format!("mqtt.tls.server_name: {message}")];
    assert_eq!(faults(Path::new(""), text), expected);
}
