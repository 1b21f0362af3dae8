//! The built program: verbs beside `generate`, exit codes, signals, systemd.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::listener::Listener;
use crate::support::program::{Service, complaint, diffused, root, run};

#[test]
fn arguments_that_cannot_be_read_are_a_fault_of_usage_and_help_is_none() {
    assert_eq!(run(&["generate"]).status.code(), Some(64));
    assert_eq!(run(&["dance"]).status.code(), Some(64));
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for verb in ["run", "demo", "generate", "send", "check", "models", "doctor", "bench"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(&format!("\n  {verb} ")), "{verb}");
    }
}

/// What tells ONNX Runtime that it runs in somebody's automatic tests; it notes nothing there.
const AUTOMATIC_TESTS: [&str; 12] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TF_BUILD",
    "TRAVIS",
    "APPVEYOR",
    "CIRCLECI",
    "JENKINS_URL",
    "CODEBUILD_BUILD_ID",
    "TEAMCITY_VERSION",
    "BUILDKITE",
    "BITBUCKET_BUILD_NUMBER",
];

#[test]
fn nothing_is_noted_for_the_makers_of_onnx_runtime_unless_somebody_wants_that() {
    let noted = |choice: Option<&str>| {
        let home = tempfile::tempdir().unwrap();
        let picture = home.path().join("a.png");
        let mut command = diffused(&["generate", "x", "--steps", "1", "-o", picture.to_str().unwrap()]);
        command.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").env_remove("ORT_DISABLE_TELEMETRY");
        for name in AUTOMATIC_TESTS {
            command.env_remove(name);
        }
        let output = command.envs(choice.map(|choice| ("ORT_DISABLE_TELEMETRY", choice))).output().unwrap();
        assert!(output.status.success() && picture.exists(), "{}", complaint(&output));
        std::fs::read_dir(home.path()).unwrap().count() > 1
    };
    assert!(!noted(None));
    assert!(noted(Some("0")), "the control: else this library notes nothing, and main.rs could be simpler");
}

#[test]
fn check_names_every_fault_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diffused.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&["check", "--config", file.to_str().unwrap()])
    };
    let output = check("[limits]\nsteps = 0\n[log]\nlevel = 'loud'");
    assert_eq!(output.status.code(), Some(78));
    assert!(complaint(&output).contains("limits.steps: must be between 1 and 150, got 0"));
    assert!(complaint(&output).contains("log.level: must be one of"));
    let models = format!("[models]\ndir = '{}'\ndefault = 'shapes'\n", root().join("models").display());
    let output = check(&format!("{models}[defaults]\nsampler = 'magic'"));
    assert_eq!(output.status.code(), Some(78));
    assert!(complaint(&output).contains("defaults.sampler: there is no sampler"), "{}", complaint(&output));
    let output = check(&models);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("model shapes: sd1 64x64"));
}

#[test]
fn send_brings_the_picture_through_a_broker_with_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-c", "-b"])
        .arg(&passwords)
        .args(["jet", "hunter2"])
        .status();
    assert!(made.unwrap().success());
    let broker = Mosquitto::with(&format!("allow_anonymous false\npassword_file {}", passwords.display()));
    let secret = folder.path().join("secret");
    let lines = format!("username = 'jet'\npassword_file = '{}'", secret.display());
    let service = Service::with(&broker, &lines, |_| {});
    let file = folder.path().join("a.jpg");
    let url = broker.url();
    let ask = |more: &[&str]| {
        let base = [
            "send",
            "a red circle on a blue background",
            "--broker",
            &url,
            "--node",
            "jet1",
            "-o",
            file.to_str().unwrap(),
        ];
        run(&[&base[..], more].concat())
    };
    let secret = secret.to_str().unwrap();
    let output = ask(&["--username", "jet", "--password-file", secret, "--steps", "2", "--json"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(std::fs::read(&file).unwrap().starts_with(&[0xff, 0xd8]));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["images"][0]["format"], Value::from("jpeg"));
    let rejected = ask(&["--username", "jet", "--password-file", secret, "--steps", "400"]);
    assert_eq!(rejected.status.code(), Some(65));
    assert!(complaint(&rejected).contains("steps must be between 1 and 150, got 400"));
    // Too large for the node, and for its share of the broker's packets: said at once, not after the timeout.
    let large = folder.path().join("large.png");
    std::fs::write(&large, vec![7; 900_000]).unwrap();
    let rejected = ask(&["--username", "jet", "--password-file", secret, "--init-image", large.to_str().unwrap()]);
    assert_eq!(rejected.status.code(), Some(65));
    assert!(complaint(&rejected).contains("a request must be at most 1000000 bytes"), "{}", complaint(&rejected));
    assert_eq!(ask(&[]).status.code(), Some(77));
    drop(service);
    let output = ask(&["--username", "jet", "--password-file", secret, "--timeout", "2"]);
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn systemd_hears_ready_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let broker = Mosquitto::start();
    let mut service = Service::with(&broker, "", |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "500000");
    });
    let mut hear = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let mut first = hear();
    let mut parts = 0;
    while first == "EXTEND_TIMEOUT_USEC=900000000" {
        (first, parts) = (hear(), parts + 1);
    }
    assert_eq!((first.as_str(), parts), ("READY=1", 4), "each part of the one model is told of");
    assert_eq!(hear(), "WATCHDOG=1");
    assert_eq!(hear(), "WATCHDOG=1");
    assert_eq!(service.stop(), Some(0));
    let last = std::iter::repeat_with(&mut hear).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

#[test]
fn a_prompt_from_mosquitto_pub_brings_a_picture_on_image() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let mut service = Service::start(&broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish("diffused/jet1/prompt", "a yellow star on a purple background", &[]);
    let picture = listener.first("jet1/image");
    assert!(picture.payload.starts_with(&[0xff, 0xd8]));
    assert_eq!(service.stop(), Some(0));
    eventually("it says offline", || {
        listener.on("jet1/availability").last().is_some_and(|heard| heard.text() == "offline")
    });
}

#[test]
fn prompts_are_written_into_the_log_only_if_the_operator_asks() {
    for (lines, logged) in [("", false), ("[log]\nprompts = true", true)] {
        let broker = Mosquitto::start();
        let listener = Listener::start(&broker);
        let service = Service::with(&broker, lines, |command| {
            command.env("RUST_LOG", "trace");
        });
        listener.first_where("jet1/availability", |heard| heard.text() == "online");
        let topic = "diffused/jet1/request/esp32";
        broker.publish(topic, r#"{"id":"a1","prompt":"canary","negative_prompt":"canary","steps":1}"#, &[]);
        listener.status("a1", "done");
        broker.publish(topic, r#"{"id":"a2","prompt":"canary" canary"#, &[]);
        listener.first_where("/status", |heard| heard.state() == "rejected");
        let told = listener.all().into_iter().filter(|heard| !heard.topic.contains("/request/"));
        assert_eq!(told.filter(|heard| heard.text().contains("canary")).count(), 0);
        assert_eq!(service.log().contains("canary"), logged, "{}", service.log());
    }
}
