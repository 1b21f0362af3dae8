//! A password and a key are planted, and looked for where they must not be.

use std::path::Path;
use std::process::Command;

use crate::support::broker::Mosquitto;
use crate::support::program::{Service, run};
use crate::support::{eventually, listener::Listener};

const PASSWORD: &str = "canary-7f3a-password";

/// The places below `folder` and of the process where a text stands.
fn places(text: &str, log: &str, pid: u32, retained: &str) -> Vec<&'static str> {
    let read =
        |name: &str| String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{name}")).unwrap()).into_owned();
    let (command, environment) = (read("cmdline"), read("environ"));
    assert!(command.contains("diffused") && environment.contains("PATH="), "nothing was read of the process");
    let all = [("log", log), ("command line", &command), ("environment", &environment), ("retained", retained)];
    all.into_iter().filter(|(_, where_)| where_.contains(text)).map(|(name, _)| name).collect()
}

/// Everything that the broker keeps, by mosquitto's own client.
fn retained(broker: &Mosquitto) -> String {
    let port = broker.port.to_string();
    let mut command = Command::new("mosquitto_sub");
    command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &port, "-t", "#", "-t", "$SYS/#", "-v", "-W", "3"]);
    String::from_utf8_lossy(&command.args(["--retained-only"]).output().unwrap().stdout).into_owned()
}

fn wait_until_online(broker: &Mosquitto) -> Listener {
    let listener = Listener::start(broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    listener
}

#[test]
fn a_password_stands_in_no_log_process_list_environment_or_retained_topic() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let broker = Mosquitto::start();
    let lines = "username = 'jet'\npassword_file = 'credential:password'\n[log]\nlevel = 'debug'";
    let service = Service::with(&broker, lines, |command| {
        command.env("CREDENTIALS_DIRECTORY", folder.path()).env("RUST_LOG", "trace");
    });
    let listener = wait_until_online(&broker);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"a red circle","steps":1}"#, &[]);
    listener.status("a1", "done");
    let (log, kept) = (service.log(), retained(&broker));
    assert!(log.contains("connected to the broker") && log.contains("DEBUG"), "{log}");
    assert!(kept.contains("diffused/jet1/info"), "{kept}");
    assert_eq!(places(PASSWORD, &log, service.pid(), &kept), Vec::<&str>::new());
}

#[test]
fn a_planted_password_is_found_in_every_place() {
    let broker = Mosquitto::start();
    let service = Service::with(&broker, &format!("client_id = '{PASSWORD}'"), |command| {
        command.env("PLANTED", PASSWORD).env("RUST_LOG", PASSWORD);
    });
    let _listener = wait_until_online(&broker);
    broker.publish("planted", PASSWORD, &["-r"]);
    let log = format!("{}{PASSWORD}", service.log());
    let found = places(PASSWORD, &log, service.pid(), &retained(&broker));
    assert_eq!(found, ["log", "environment", "retained"]);
    let mut planted =
        Command::new("sh").args(["-c", "sleep 20 # diffused", PASSWORD]).env("PATH", "/bin").spawn().unwrap();
    eventually("the shell runs", || !std::fs::read(format!("/proc/{}/cmdline", planted.id())).unwrap().is_empty());
    assert_eq!(places(PASSWORD, "", planted.id(), ""), ["command line"]);
    planted.kill().unwrap();
    planted.wait().unwrap();
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let check = |lines: &str| {
        let file = folder.path().join("diffused.toml");
        std::fs::write(&file, format!("[mqtt]\n{lines}")).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    for (lines, expected) in [
        ("password_file = 'password'", "mqtt.password_file: needs a username beside it"),
        ("username = 'jet'\npassword_file = 'none'", "mqtt.password_file: "),
        ("username = 'jet'\npassword_file = 'credential:password'", "the unit needs LoadCredential=password:FILE"),
        (&format!("url = 'mqtts://jet:{PASSWORD}@broker.lan'"), "mqtt.url: must be a URL"),
        (&format!("password = '{PASSWORD}'"), "mqtt.password: is not known"),
        (
            "url = 'mqtts://broker.lan'\ntls = { ca_file = 'password', client_cert_file = 'password', client_key_file = 'password' }",
            "mqtt.tls.ca_file: ",
        ),
    ] {
        let (code, complaint) = check(lines);
        assert_eq!(code, Some(78), "{complaint}");
        assert!(complaint.contains(expected), "{complaint} instead of {expected}");
        assert!(!complaint.contains(PASSWORD), "{complaint}");
    }
}

#[test]
fn only_ring_computes_what_is_encrypted() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let packages: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    let foreign: Vec<_> =
        packages.iter().filter(|name| name.contains("aws-lc") || name.contains("openssl-sys")).collect();
    assert!(packages.contains(&"\"ring\"") && foreign.is_empty(), "{foreign:?}");
}
