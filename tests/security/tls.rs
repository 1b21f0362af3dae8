//! Encrypted connections and websockets: what is refused, and what goes through.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use diffused::mqtt::Signal;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    NameConstraints, SanType, date_time_ymd,
};
use rumqttc::v5::mqttbytes::QoS;
use tempfile::TempDir;

use super::line::{Line, broker, faults};
use super::pki::{Authority, Identity, self_signed, write};
use super::trap::Trap;
use crate::support::broker::Mosquitto;
use crate::support::program::root;
use crate::support::{PATIENCE, eventually};

const PASSWORD: &str = "hunter2";
/// Long enough for a refusal on a busy machine, and for a second try after it.
const REFUSAL: Duration = Duration::from_secs(20);

/// A folder with `ca.pem` of this authority and the file `password`.
fn folder(ca: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ca.pem", &ca.pem());
    write(folder.path(), "password", PASSWORD);
    folder
}

/// A connection to `port` with these lines in `[mqtt]`.
fn line(folder: &Path, port: u16, more: &str) -> Line {
    let lines = format!(
        "url = 'mqtts://127.0.0.1:{port}'\nusername = 'jet'\npassword_file = 'password'\n\
         tls.ca_file = 'ca.pem'\n{more}"
    );
    Line::start(broker(folder, &lines))
}

fn named(name: &str) -> impl Fn(&mut CertificateParams) {
    let names = vec![SanType::DnsName(name.try_into().unwrap())];
    move |params| params.subject_alt_names.clone_from(&names)
}

fn other_network(params: &mut CertificateParams) {
    let network = GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]));
    params.name_constraints = Some(NameConstraints { permitted_subtrees: vec![network], excluded_subtrees: vec![] });
}

/// Every certificate that must be refused, with its fault.
fn bad(ca: &Authority) -> Vec<(&'static str, Identity)> {
    let between = |change: fn(&mut CertificateParams)| ca.below("between", change);
    let (usual, expired, no_authority) = (
        between(|_| {}),
        between(|params| params.not_after = date_time_ymd(2021, 1, 1)),
        between(|params| params.is_ca = IsCa::ExplicitNoCa),
    );
    let last = between(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let (below_last, elsewhere) = (last.below("too deep", |_| {}), between(other_network));
    vec![
        ("comes from another authority", Authority::new("authority").broker(|_| {})),
        ("vouches for itself", self_signed()),
        ("names another host", ca.broker(named("other.lan"))),
        ("names the host but not the address of the URL", ca.broker(named("localhost"))),
        (
            "has the address only in its common name",
            ca.broker(|params| {
                params.subject_alt_names.clear();
                params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
            }),
        ),
        ("is over", ca.broker(|params| params.not_after = date_time_ymd(2021, 1, 1))),
        ("has not begun", ca.broker(|params| params.not_before = date_time_ymd(4000, 1, 1))),
        ("is for clients", ca.broker(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])),
        ("lacks the one between", usual.broker(|_| {})),
        ("comes from one between that is over", expired.broker(|_| {}).through(&expired)),
        ("comes from one between that is no authority", no_authority.broker(|_| {}).through(&no_authority)),
        ("comes too deep down", below_last.broker(|_| {}).through(&below_last).through(&last)),
        ("comes from one between that is for another network", elsewhere.broker(|_| {}).through(&elsewhere)),
    ]
}

#[test]
fn a_broker_whose_certificate_is_bad_gets_not_a_byte() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    for (fault, identity) in bad(&ca) {
        let trap = Trap::encrypted(&identity);
        let mut line = line(folder.path(), trap.port, "");
        assert!(line.down(REFUSAL), "a certificate that {fault}");
        eventually("the connection ends", || trap.caught().visits > 0);
        assert_eq!(trap.caught().bytes, b"", "a certificate that {fault}");
    }
    let between = ca.below("between", |_| {});
    for good in [ca.broker(|_| {}), between.broker(|_| {}).through(&between)] {
        let trap = Trap::encrypted(&good);
        let _line = line(folder.path(), trap.port, "");
        eventually("a good broker is told the password", || contains(&trap.caught().bytes, PASSWORD));
    }
}

#[test]
fn another_name_than_the_hosts_can_be_asked_for_and_is_checked_as_strictly() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    let asked = "tls.server_name = 'broker.lan'";
    for identity in [
        ca.broker(|_| {}),
        ca.broker(named("other.lan")),
        Authority::new("authority").broker(named("broker.lan")),
        ca.broker(|params| {
            named("broker.lan")(params);
            params.not_after = date_time_ymd(2021, 1, 1);
        }),
    ] {
        let trap = Trap::encrypted(&identity);
        assert!(line(folder.path(), trap.port, asked).down(REFUSAL));
        assert_eq!(trap.caught().bytes, b"");
    }
    let trap = Trap::encrypted(&ca.broker(named("broker.lan")));
    let _line = line(folder.path(), trap.port, asked);
    eventually("the right broker is told the password", || contains(&trap.caught().bytes, PASSWORD));
}

#[test]
fn a_broker_that_does_not_encrypt_is_never_told_a_password() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    let trap = Trap::plain();
    let mut line = line(folder.path(), trap.port, "");
    assert!(line.down(REFUSAL));
    eventually("the connection ends", || trap.caught().visits > 0);
    let bytes = trap.caught().bytes;
    assert!(!bytes.is_empty() && !contains(&bytes, PASSWORD) && !contains(&bytes, "MQTT"));
    // The other way round nothing is protected, but nothing works either.
    let trap = Trap::encrypted(&ca.broker(|_| {}));
    let plain = broker(folder.path(), &format!("url = 'mqtt://127.0.0.1:{}'", trap.port));
    assert!(Line::start(plain).down(REFUSAL));
}

#[test]
fn a_broker_that_wants_certificates_lets_in_only_those_of_its_authority() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    ca.broker(|_| {}).write(folder.path(), "broker");
    ca.client("jet").write(folder.path(), "good");
    Authority::new("authority").client("jet").write(folder.path(), "foreign");
    ca.broker(|_| {}).write(folder.path(), "server");
    let port = free_port();
    let _mosquitto = Mosquitto::with(&format!("{}require_certificate true\n", listener(folder.path(), port, "mqtt")));
    let shown = |name: &str| format!("tls.client_cert_file = '{name}.pem'\ntls.client_key_file = '{name}.key'");
    for more in [String::new(), shown("foreign"), shown("server")] {
        let mut line = line(folder.path(), port, &more);
        assert!(line.down(REFUSAL), "{more}");
        assert!(line.up(Duration::from_secs(1)).is_none(), "{more}");
    }
    assert!(line(folder.path(), port, &shown("good")).up(PATIENCE).is_some());
}

#[test]
fn a_large_message_goes_through_every_kind_of_connection_and_back() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    ca.broker(|_| {}).write(folder.path(), "broker");
    let (tls, ws, wss) = (free_port(), free_port(), free_port());
    let mosquitto = Mosquitto::with(&format!(
        "allow_anonymous true\n{}{}listener {ws} 127.0.0.1\nprotocol websockets\n",
        listener(folder.path(), tls, "mqtt"),
        listener(folder.path(), wss, "websockets"),
    ));
    let trusted = "\ntls.ca_file = 'ca.pem'";
    for (url, more) in [
        (mosquitto.url(), ""),
        (format!("mqtts://127.0.0.1:{tls}"), trusted),
        (format!("mqtts://localhost:{tls}"), trusted),
        (format!("ws://127.0.0.1:{ws}"), ""),
        (format!("wss://127.0.0.1:{wss}/mqtt"), trusted),
    ] {
        let mut line = Line::start(broker(folder.path(), &format!("url = '{url}'{more}")));
        let (client, _) = line.up(PATIENCE).unwrap_or_else(|| panic!("no connection over {url}"));
        let picture: Vec<u8> = (0..700_000_u32).map(|byte| (byte % 251) as u8).collect();
        client.try_subscribe("echo", QoS::AtLeastOnce).unwrap();
        client.try_publish("echo", QoS::AtLeastOnce, false, picture.clone()).unwrap();
        let heard = line.wait(PATIENCE, |signal| match signal {
            Signal::Incoming(publish) => Some(publish.payload),
            _ => None,
        });
        assert!(heard.is_some_and(|heard| heard == picture), "over {url}");
    }
}

#[test]
fn a_bad_certificate_is_refused_through_a_websocket_too() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    let url = |port: u16| {
        let lines = format!("url = 'wss://127.0.0.1:{port}'\ntls.ca_file = 'ca.pem'");
        Line::start(broker(folder.path(), &lines))
    };
    let trap = Trap::encrypted(&Authority::new("authority").broker(|_| {}));
    assert!(url(trap.port).down(REFUSAL));
    assert_eq!(trap.caught().bytes, b"");
    let trap = Trap::encrypted(&ca.broker(|_| {}));
    let _line = url(trap.port);
    eventually("a good one is asked for a websocket", || contains(&trap.caught().bytes, "GET /mqtt HTTP/1.1"));
}

#[test]
fn every_fault_of_the_files_is_named_with_its_path_before_anything_is_connected() {
    let ca = Authority::new("authority");
    let folder = folder(&ca);
    let (one, two) = (ca.client("one"), ca.client("two"));
    one.write(folder.path(), "one");
    two.write(folder.path(), "two");
    write(folder.path(), "garbage", "garbage");
    write(folder.path(), "broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let place = folder.path().display();
    let url = "url = 'mqtts://broker.lan'\n";
    for (lines, expected) in [
        ("tls.ca_file = 'none.pem'", vec![format!("mqtt.tls.ca_file: {place}/none.pem cannot be read")]),
        ("tls.ca_file = 'garbage'", vec![format!("mqtt.tls.ca_file: {place}/garbage has no certificate in PEM")]),
        ("tls.ca_file = 'one.key'", vec![format!("mqtt.tls.ca_file: {place}/one.key has no certificate in PEM")]),
        (
            "tls.ca_file = 'broken.pem'",
            vec![format!("mqtt.tls.ca_file: {place}/broken.pem has an unusable certificate")],
        ),
        (
            "tls.client_cert_file = 'one.pem'\ntls.client_key_file = 'two.key'",
            vec![format!(
                "mqtt.tls.client_key_file: {place}/two.key is not the key of the certificate in {place}/one.pem"
            )],
        ),
        (
            "tls.client_cert_file = 'one.pem'\ntls.client_key_file = 'one.pem'",
            vec![format!("mqtt.tls.client_key_file: {place}/one.pem has no private key in PEM without a passphrase")],
        ),
        ("tls.client_cert_file = 'one.pem'", vec!["mqtt.tls.client_cert_file: needs its key beside it".to_owned()]),
        (
            "tls.ca_file = 'none.pem'\ntls.client_key_file = 'one.key'\ntls.server_name = 'a b'",
            vec![
                format!("mqtt.tls.ca_file: {place}/none.pem cannot be read"),
                "mqtt.tls.client_key_file: needs its certificate beside it".to_owned(),
                "mqtt.tls.server_name: must be a host name or an address, got \"a b\"".to_owned(),
            ],
        ),
    ] {
        let ca_file = if lines.contains("ca_file") { "" } else { "tls.ca_file = 'ca.pem'\n" };
        let faults = faults(folder.path(), &format!("{url}{ca_file}{lines}"));
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(&expected) {
            assert!(fault.starts_with(expected), "{fault} instead of {expected}");
            assert!(!fault.contains("BEGIN"), "{fault}");
        }
    }
    let good = "tls.ca_file = 'ca.pem'\ntls.client_cert_file = 'one.pem'\ntls.client_key_file = 'one.key'";
    let told = format!("{:?}", broker(folder.path(), &format!("{url}{good}")));
    assert!(told.contains("broker.lan") && !told.contains("PrivateKey"), "{told}");
}

/// A listener of mosquitto that encrypts with `broker.pem` of this folder.
fn listener(folder: &Path, port: u16, protocol: &str) -> String {
    let place = folder.display();
    format!(
        "listener {port} 127.0.0.1\nprotocol {protocol}\ncafile {place}/ca.pem\ncertfile {place}/broker.pem\n\
         keyfile {place}/broker.key\nallow_anonymous true\n"
    )
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_commands_of_the_documentation_make_certificates_that_work() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let commands = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(commands.lines().count(), 5);
    let folder = tempfile::tempdir().unwrap();
    let script = format!("set -e\n{}", commands.replace("broker.lan", "localhost"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let port = free_port();
    let _mosquitto = Mosquitto::with(&format!("{}require_certificate true\n", listener(folder.path(), port, "mqtt")));
    let url = |host: &str| format!("url = 'mqtts://{host}:{port}'\ntls.ca_file = 'ca.pem'\n");
    let shown = "tls.client_cert_file = 'jet1.pem'\ntls.client_key_file = 'jet1.key'";
    let start = |lines: String| Line::start(broker(folder.path(), &lines));
    assert!(start(url("localhost") + shown).up(PATIENCE).is_some());
    assert!(start(url("127.0.0.1") + shown).down(REFUSAL), "the certificate does not name the address");
    assert!(start(url("localhost")).down(REFUSAL), "nobody comes in without a certificate");
}
