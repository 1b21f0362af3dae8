//! The built program: verbs, exit codes, signals, systemd.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::listener::Listener;
use crate::support::program::{Service, complaint, root, run};

#[test]
fn the_same_seed_gives_the_same_picture_and_json_tells_the_facts() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.png"), folder.path().join("b.png"));
    for file in [&first, &second] {
        let output =
            run(&["generate", "a red circle", "--seed", "5", "--steps", "4", "--json", "-o", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", complaint(&output));
        let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&facts["seed"], &facts["width"]), (&Value::from(5), &Value::from(64)));
    }
    assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
}

#[test]
fn several_pictures_get_numbers_and_each_its_own_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let base = file("a.png");
    assert!(
        run(&["generate", "a red circle", "--seed", "5", "--steps", "2", "--count", "2", "-o", base.to_str().unwrap()])
            .status
            .success()
    );
    let single = file("b.png");
    assert!(
        run(&["generate", "a red circle", "--seed", "6", "--steps", "2", "-o", single.to_str().unwrap()])
            .status
            .success()
    );
    assert_eq!(std::fs::read(file("a-1.png")).unwrap(), std::fs::read(single).unwrap());
    assert_ne!(std::fs::read(file("a-0.png")).unwrap(), std::fs::read(file("a-1.png")).unwrap());
}

#[test]
fn faults_of_the_caller_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.png");
    let out = out.to_str().unwrap();
    assert_eq!(run(&["generate"]).status.code(), Some(64));
    assert_eq!(run(&["dance"]).status.code(), Some(64));
    let steps = run(&["generate", "x", "--steps", "400", "-o", out]);
    assert_eq!(steps.status.code(), Some(64));
    assert!(complaint(&steps).contains("steps must be between 1 and 150, got 400"), "{}", complaint(&steps));
    assert_eq!(run(&["generate", "x", "--model", folder.path().to_str().unwrap(), "-o", out]).status.code(), Some(65));
    assert_eq!(run(&["generate", "x", "-o", "/nowhere/a.png"]).status.code(), Some(74));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_missing_or_wrong_runtime_library_says_what_to_do() {
    let wrong = root().join("Cargo.toml");
    for library in ["/nowhere/libonnxruntime.so", wrong.to_str().unwrap()] {
        let output = run(&["generate", "x", "--library", library, "-o", "a.png"]);
        assert_eq!(output.status.code(), Some(69));
        let complaint = complaint(&output);
        assert!(complaint.contains("run deploy/onnxruntime.sh or set engine.library"), "{complaint}");
        assert_eq!(complaint.trim().lines().count(), 1, "{complaint}");
    }
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
    assert_eq!(hear(), "READY=1");
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
