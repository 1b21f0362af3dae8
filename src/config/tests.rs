//! Every fault is reported, each with its path.

use super::*;
use crate::model::{Accelerator, Arena, Choice};
use crate::mqtt::home_assistant::Form;

fn faults(text: &str) -> Vec<String> {
    let error = Config::parse(text, Path::new("/etc/diffused/diffused.toml")).unwrap_err();
    error.faults.iter().map(Fault::to_string).collect()
}

#[test]
fn an_empty_file_is_a_working_configuration() {
    let config = Config::parse("", Path::new("/etc/diffused/diffused.toml")).unwrap();
    assert_eq!((config.broker.host.as_str(), config.broker.port), ("127.0.0.1", 1883));
    assert_eq!(config.broker.client_id, format!("diffused-{}", config.node));
    assert_eq!(config.image.get("format"), Some(&Value::from("jpeg")));
}

#[test]
fn pictures_are_checked_unless_that_is_switched_off() {
    let safety = |text| Config::parse(text, Path::new("/etc/diffused/diffused.toml")).unwrap().engine.safety;
    assert!(safety(""));
    assert!(!safety("[engine]\nsafety = false"));
    assert_eq!(faults("[engine]\nsafety = 'off'"), ["engine.safety: must be true or false, got a text"]);
}

#[test]
fn all_faults_come_together_with_their_paths() {
    let text = "
        [node]
        name = 'Jet 1'
        [mqtt]
        url = 'http://broker'
        keep_alive = '3 parsecs'
        max_packet = 7
        tls = { ca_file = 3, cafile = 'ca.pem' }
        [engine]
        accelerator = 'npu'
        [limits]
        steps = 'many'
        quue = 3
        [image]
        format = 'gif'
        [pool]
        [typo]
    ";
    let faults = faults(text);
    let expected = [
        "node: a node name must be",
        "mqtt.url: must begin with mqtts://",
        "mqtt.keep_alive: must be a duration",
        "mqtt.max_packet: must be between 1024",
        "mqtt.tls.ca_file: must be a text, got a whole number",
        "mqtt.tls.cafile: is not known",
        "image: output.format must be",
        "engine.accelerator: must be one of cpu, cuda",
        "limits.steps: must be a whole number, got a text",
        "limits.quue: is not known",
        "typo: is not known",
    ];
    for expected in expected {
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected} is missing in {faults:#?}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
}

#[test]
fn a_node_shows_itself_to_home_assistant_only_if_asked_to_and_every_key_is_checked_in_any_case() {
    let read = |lines: &str| {
        let text = format!("[node]\nname = 'jet1'\n[home_assistant]\n{lines}");
        Config::parse(&text, Path::new("a.toml")).map(|config| config.home_assistant)
    };
    assert_eq!((read(""), read("prefix = 'ha'")), (Ok(None), Ok(None)));
    let settings = read("enabled = true").unwrap().unwrap();
    assert_eq!((settings.status().as_str(), settings.form), ("homeassistant/status", Form::Device));
    let other =
        read("enabled = true\nprefix = 'lab/ha'\ndiscovery = 'single'\nclient = 'hass'\nsuggested_area = 'Hall'");
    let other = other.unwrap().unwrap();
    assert_eq!((other.status().as_str(), other.form, other.client.as_str()), ("lab/ha/status", Form::Single, "hass"));
    for (lines, fault) in [
        ("enabled = 1", "home_assistant.enabled: must be true or false"),
        ("prefix = 'a/#'", "home_assistant.prefix: a prefix must be topic levels"),
        ("discovery = 'off'", "home_assistant.discovery: must be one of device, single"),
        ("client = 'reply'", "home_assistant.client: a client must be"),
        ("area = 'Hall'", "home_assistant.area: is not known"),
        ("enabled = true\nprefix = 'diffused'", "home_assistant.prefix: must not hold the node's topics"),
    ] {
        let faults = read(lines).unwrap_err().faults;
        assert!(faults.len() == 1 && faults[0].to_string().starts_with(fault), "{faults:?}");
    }
}

#[test]
fn what_is_not_toml_says_where() {
    assert!(faults("[node\nname = 1")[0].contains("line 1"));
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = Config::parse("[store]\ndir = 'here'", Path::new("/etc/diffused/diffused.toml")).unwrap();
    assert_eq!(config.store, Path::new("/etc/diffused/here"));
}

#[test]
fn requests_that_the_broker_would_drop_silently_are_no_limit() {
    assert!(faults("[limits]\nrequest_bytes = 1048000")[0].starts_with("limits.request_bytes: must leave room"));
    assert_eq!(faults("[defaults]\noutput = 'png'"), ["defaults.output: must be a table"]);
}

#[test]
fn accelerators_are_chosen_for_each_graph_with_the_settings_that_they_know() {
    let text = "[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1'\n[engine]\nrequire = 'all'\ncache = 'cache'\n\
        [engine.accelerator]\nname = 'tensorrt'\ndevice = 1\nmemory = '2 GiB'\nfp16 = true\ndla = 0\n\
        options = {trt_sparsity_enable = true, trt_builder_optimization_level = 5}\n\
        [engine.graphs]\ntext_encoder = {name = 'cpu', compact = true}\nvae_decoder = {name = 'cuda', arena = 'tight'}\n\
        unet = {name = 'tensorrt', dimensions = {height = 64}}";
    let engine = Config::parse(text, Path::new("/etc/diffused/config.toml")).unwrap().engine;
    let options = [("trt_builder_optimization_level", "5"), ("trt_sparsity_enable", "1")];
    let wanted = Choice {
        device: Some("1".to_owned()),
        memory: Some(2 << 30),
        fp16: true,
        dla: Some(0),
        options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Accelerator::TensorRt.into()
    };
    assert_eq!((engine.accelerator, engine.strict), (wanted, true));
    assert_eq!(engine.cache.as_deref(), Some(Path::new("/etc/diffused/cache")));
    let graphs = [
        ("text_encoder".to_owned(), Choice { compact: true, ..Accelerator::Cpu.into() }),
        ("vae_decoder".to_owned(), Choice { arena: Arena::Tight, ..Accelerator::Cuda.into() }),
        ("unet".to_owned(), Choice { dimensions: [("height".to_owned(), 64)].into(), ..Accelerator::TensorRt.into() }),
    ];
    assert_eq!(engine.graphs, graphs.into());
}

#[test]
fn a_setting_that_an_accelerator_does_not_know_is_a_fault() {
    let faults = |lines: &str| {
        let text = format!("[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1'\n{lines}");
        Config::parse(&text, Path::new("a.toml")).map(drop).unwrap_err().to_string()
    };
    let of = |table: &str| faults(&format!("[engine]\naccelerator = {table}"));
    assert_eq!(of("{name = 'cuda', dla = 1}"), "a.toml: engine.accelerator.dla: is no setting of cuda");
    assert_eq!(of("{name = 'cpu', fast = 1}"), "a.toml: engine.accelerator.fast: is not known");
    assert!(of("{name = 'cpu', arena = 'tight'}").contains("engine.accelerator.arena: must be one of grow, off"));
    assert!(of("{device = 1}").contains("engine.accelerator.name: must be one of cpu"));
    assert_eq!(of("{name = 'cpu', dimensions = {h = 1}}"), "a.toml: engine.accelerator.dimensions: is not known");
    let of_unet = faults("[engine.graphs]\nunet = {name = 'cpu', dimensions = {height = 0}}");
    assert!(of_unet.ends_with("dimensions: height must be a whole number from 1, got 0"), "{of_unet}");
    assert!(faults("[engine.graphs]\nunet = 'npu'").contains("engine.graphs.unet: must be one of cpu"));
    assert!(faults("[engine.graphs]\nnet = 'cpu'").contains("engine.graphs.net: is not known"));
}

#[test]
fn temperatures_are_checked_together() {
    let parse = |lines: &str| Config::parse(&format!("[thermal]\n{lines}"), Path::new("a.toml"));
    assert_eq!(parse("").unwrap().thermal, Thermal::default());
    let thermal = Thermal::new(Some(80.0), Some(90.5), Some(75.0)).unwrap();
    assert_eq!(parse("slow = 80\npause = 90.5\nresume = 75").unwrap().thermal, thermal);
    let fault = |lines: &str| parse(lines).map(drop).unwrap_err().to_string();
    assert_eq!(fault("pause = 90\nresume = 95"), "a.toml: thermal.resume: must be below thermal.pause = 90, got 95");
    assert_eq!(fault("pause = 'hot'"), "a.toml: thermal.pause: must be a number, got a text");
    assert_eq!(fault("stop = 90"), "a.toml: thermal.stop: is not known");
    assert!(fault("slow = nan").starts_with("a.toml: thermal.slow: must be between 30 and 150"));
}

#[test]
fn pages_are_served_where_that_is_said_and_to_other_machines_only_if_that_is_said_too() {
    let parse = |lines: &str| Config::parse(&format!("[http]\n{lines}"), Path::new("a.toml"));
    for off in ["", "listen = ''", "allow_remote = true"] {
        assert_eq!(parse(off).unwrap().http, None, "{off}");
    }
    let address = parse("listen = '127.0.0.1:9464'").unwrap().http.map(Listen::address);
    assert_eq!(address, Some(([127, 0, 0, 1], 9464).into()));
    assert!(parse("listen = '0.0.0.0:9464'\nallow_remote = true").unwrap().http.is_some_and(Listen::is_remote));
    let fault = |lines: &str| parse(lines).map(drop).unwrap_err().to_string();
    assert!(
        fault("listen = '0.0.0.0:9464'").starts_with("a.toml: http.listen: 0.0.0.0:9464 can be reached from other")
    );
    assert!(fault("listen = 'localhost'").starts_with("a.toml: http.listen: must be an address and a port"));
    assert_eq!(fault("port = 9464"), "a.toml: http.port: is not known");
}
