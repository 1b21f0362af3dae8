//! `diffused doctor`: what is right, and every thing that can be wrong by itself.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::security::people::{Guarded, PASSWORD, Person};
use crate::support::broker::Mosquitto;
use crate::support::listener::Listener;
use crate::support::program::{complaint, root, run};

/// A box with the bundled model behind a broker at `url`, with more lines at the end of its configuration.
fn examined(url: &str, more: &str) -> (Option<i32>, Vec<Value>) {
    examined_as(&format!("url = '{url}'"), more)
}

/// The same with these lines in the table `[mqtt]`, beside a file `password` with everybody's.
fn examined_as(mqtt: &str, more: &str) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let config = folder.path().join("diffused.toml");
    let models = root().join("models").display().to_string();
    let text =
        format!("[node]\nname = 'jet1'\n[store]\ndir = 'store'\n[mqtt]\n{mqtt}\n[models]\ndir = '{models}'\n{more}");
    fs::write(&config, text).unwrap();
    let output = run(&["doctor", "--json", "--config", config.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", complaint(&output)));
    (output.status.code(), told["findings"].as_array().unwrap().clone())
}

fn about<'a>(findings: &'a [Value], about: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["about"] == about).collect()
}

/// The findings that say that something does not work.
fn broken(findings: &[Value]) -> Vec<&Value> {
    let broken: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "fail").collect();
    assert!(broken.iter().all(|finding| finding["fix"].is_string()), "{broken:?}");
    broken
}

#[test]
fn a_box_that_is_well_has_a_line_about_everything_and_a_table_for_people() {
    let broker = Mosquitto::start();
    let (code, findings) = examined(&broker.url(), "");
    assert_eq!((code, broken(&findings)), (Some(0), vec![]), "{findings:?}");
    for (thing, text) in [
        ("config", "diffused.toml"),
        ("library", "libonnxruntime"),
        ("accelerator", "cpu computes, 0e0 from the processor"),
        ("model", "shapes: whole, fits"),
        ("broker", "mosquitto version"),
        ("memory", "are free"),
        ("disk", "are free for"),
        ("store", "the first start makes one"),
        ("clock", ""),
        ("board", ""),
        ("heat", ""),
        ("power", ""),
    ] {
        let told = about(&findings, thing);
        assert!(told.iter().any(|finding| finding["what"].as_str().unwrap().contains(text)), "{thing}: {told:?}");
    }
    let table = run(&["doctor", "--config", "/nowhere/diffused.toml"]);
    assert_eq!(table.status.code(), Some(69));
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        text.starts_with("FAIL  config") && text.contains("cannot be read") && text.contains("-> mend it"),
        "{text}"
    );
    assert!(text.contains("\nok    library"), "without a configuration the rest is looked at: {text}");
}

#[test]
fn what_is_broken_is_told_alone() {
    let broker = Mosquitto::start();
    for (url, more, thing, text) in [
        ("mqtt://127.0.0.1:1".to_owned(), String::new(), "broker", "127.0.0.1 port 1"),
        (broker.url(), "[engine]\naccelerator = 'qnn'".to_owned(), "accelerator", "was made without it"),
        (broker.url(), "[engine]\nlibrary = '/nowhere'".to_owned(), "library", "/nowhere"),
        (broker.url(), "[engine]\nmemory = '1 MB'".to_owned(), "model", "largest graph"),
    ] {
        let (code, findings) = examined(&url, &more);
        let broken = broken(&findings);
        assert_eq!((code, broken.len()), (Some(69), 1), "{more}: {findings:?}");
        assert_eq!(broken[0]["about"], thing);
        assert!(broken[0]["what"].as_str().unwrap().contains(text), "{}", broken[0]);
    }
}

#[test]
fn a_broker_that_takes_only_small_packets_is_noticed() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 100000");
    let (code, findings) = examined(&broker.url(), "[limits]\nrequest_bytes = 50000");
    assert_eq!(code, Some(0));
    let told = about(&findings, "broker");
    let is_warned = |finding: &&Value| {
        finding["level"] == "warn" && finding["what"].to_string().contains("in parts of less than 100")
    };
    assert!(told.iter().any(is_warned), "{told:?}");
}

#[test]
fn a_name_or_password_that_the_broker_does_not_know_is_told_as_such() {
    let broker = Mosquitto::with("allow_anonymous false");
    let (code, findings) = examined(&broker.url(), "");
    let told = about(&findings, "broker");
    assert_eq!((code, told.len()), (Some(69), 1));
    assert!(told[0]["what"].as_str().unwrap().contains("does not let us in"), "{told:?}");
    assert!(told[0]["fix"].as_str().unwrap().contains("mqtt.username"));
}

#[test]
fn a_retained_message_makes_its_way_and_does_not_stay() {
    let broker = Mosquitto::start();
    let (code, findings) = examined(&broker.url(), "");
    assert_eq!(code, Some(0));
    let told = about(&findings, "broker")[0]["what"].as_str().unwrap();
    assert!(told.ends_with(", keeps retained messages"), "{told}");
    // The control: what somebody does leave there is seen.
    broker.publish("diffused/jet1/reply/jet1/left/answer", "{}", &["-r"]);
    let left = Listener::of_players(&broker).all().into_iter().map(|heard| heard.topic);
    let left: Vec<String> = left.filter(|topic| topic.contains("/reply/")).collect();
    assert_eq!(left, ["diffused/jet1/reply/jet1/left/answer"]);
}

#[test]
fn a_broker_without_retained_messages_is_told_as_such() {
    let broker = Mosquitto::with("allow_anonymous true\nretain_available false");
    let (code, findings) = examined(&broker.url(), "");
    let broken = broken(&findings);
    assert_eq!((code, broken.len()), (Some(69), 1), "{findings:?}");
    assert!(broken[0]["what"].as_str().unwrap().starts_with("it keeps no retained messages"), "{}", broken[0]);
}

#[test]
fn the_shipped_access_rules_let_the_doctor_look_and_what_they_lack_is_noticed() {
    let looked = |change: fn(String) -> String| {
        let guarded = Guarded::start(&["jet1"], change);
        let mqtt = format!("url = '{}'\nusername = 'jet1'\npassword_file = 'password'", guarded.broker.url());
        let (_, findings) = examined_as(&mqtt, "[pool]\nnames = ['studio']\n[home_assistant]\nenabled = true");
        let told = |finding: &Value| format!("{} {}", finding["level"].as_str().unwrap(), finding["what"]);
        about(&findings, "broker").into_iter().map(told).filter(|line| !line.starts_with("ok ")).collect::<Vec<_>>()
    };
    assert_eq!(looked(|rules| rules), [""; 0]);
    let mute = looked(|rules| rules.replace("topic write diffused/jet1/reply/#\n", ""));
    assert_eq!(mute, ["fail \"it does not let us publish answers: NotAuthorized\""]);
    let deaf = looked(|rules| rules.replace("pattern read diffused/+/reply/%u/#\n", ""));
    assert!(deaf.len() == 1 && deaf[0].starts_with("warn \"a retained message did not come back"), "{deaf:?}");
}

#[test]
fn the_doctor_takes_no_requests_from_the_nodes_of_a_pool() {
    let broker = Mosquitto::start();
    let (node, asks) = (Person::connect(broker.port, "jet2"), Person::connect(broker.port, "esp32"));
    node.subscribe(["$share/diffused-studio/diffused/pool/studio/request/+"]);
    let (asked, code) = std::thread::scope(|scope| {
        let doctor = scope.spawn(|| examined(&broker.url(), "[pool]\nnames = ['studio']").0);
        let mut asked = BTreeSet::new();
        while !doctor.is_finished() {
            let request = asked.len().to_string();
            assert!(asks.publish("diffused/pool/studio/request/esp32", &request, false));
            asked.insert(request);
            std::thread::sleep(Duration::from_millis(5));
        }
        (asked, doctor.join().unwrap())
    });
    assert!(code == Some(0) && asked.len() > 10, "{code:?} after {} requests", asked.len());
    assert_eq!(node.heard(), asked);
}

#[test]
fn the_port_of_the_pages_is_told_of_where_there_are_pages() {
    let broker = Mosquitto::start();
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = other.local_addr().unwrap();
    // It answers, but not as a node does.
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nServer: other\r\n\r\n");
    });
    let (code, findings) = examined(&broker.url(), &format!("[http]\nlisten = '{taken}'"));
    answers.join().unwrap();
    let broken = broken(&findings);
    assert_eq!((code, broken.len(), &broken[0]["about"]), (Some(69), 1, &Value::from("http")), "{findings:?}");
    let (code, findings) =
        examined(&broker.url(), &format!("[http]\nlisten = '0.0.0.0:{}'\nallow_remote = true", taken.port()));
    let levels: Vec<_> = about(&findings, "http").iter().map(|finding| finding["level"].clone()).collect();
    assert_eq!((code, levels), (Some(0), vec![Value::from("ok"), Value::from("warn")]), "{findings:?}");
    let (_, findings) = examined(&broker.url(), "");
    assert!(about(&findings, "http").is_empty());
}
