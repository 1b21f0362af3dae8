//! A configuration is read, or says what is wrong with it.

use std::path::Path;

use diffused::config::Config;

use super::draw::Draw;

const LINES: &[&str] = &[
    "[mqtt]",
    "[mqtt.tls]",
    "[node]",
    "[limits]",
    "[store]",
    "[pool]",
    "[defaults]",
    "[defaults.output]",
    "[image]",
    "[engine]",
    "[log]",
    "[models]",
    "[home_assistant]",
    "url = 'mqtts://x:8883'",
    "url = 'mqtt://127.0.0.1'",
    "url = 7",
    "name = 'jet1'",
    "names = ['studio']",
    "names = ['Studio', 7]",
    "dir = 'x'",
    "keep = '7 days'",
    "keep = 'never'",
    "max_bytes = 120000",
    "max_size = '1 GB'",
    "request_bytes = 255",
    "request_bytes = 100000000",
    "prompt_chars = 4000",
    "pixels = 64",
    "steps = 151",
    "count = 4",
    "rate = '30/min'",
    "rate = '0/s'",
    "queue = 1",
    "per_client = 99999999999",
    "job_time = '1h'",
    "format = 'jpeg'",
    "format = 'gif'",
    "steps = 8",
    "width = 60",
    "sampler = 'magic'",
    "level = 'info'",
    "json = true",
    "reply_prefixes = ['answers']",
    "reply_prefixes = ['#']",
    "max_packet = 7",
    "keep_alive = '30s'",
    "base = 'a/b/c'",
    "base = 'art'",
    "ca = 'x.pem'",
    "user = 'x'",
    "password_file = 'x'",
    "threads = 4",
    "memory = '4 GB'",
    "accelerator = 'cuda'",
    "x = nan",
    "x = 1979-05-27",
];

pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let text = if kind % 2 == 0 {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        let mut draw = Draw(rest);
        let mut lines = Vec::new();
        while !draw.is_done() && lines.len() < 60 {
            lines.push(if draw.byte() < 240 { draw.one_of(LINES).to_owned() } else { draw.text(40) });
        }
        lines.join("\n")
    };
    if let Err(error) = Config::parse(&text, Path::new("test.toml")) {
        assert!(!error.faults.is_empty(), "refused without a reason");
        assert!(error.faults.iter().all(|fault| !fault.message.is_empty()), "{error}");
    }
}
