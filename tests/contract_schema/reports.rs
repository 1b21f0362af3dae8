//! What is said about a job: statuses, progress, manifests.

use diffused::job::units::{Count, Seed};
use diffused::job::{Code, Stage};
use serde_json::{Value, json};

use super::build::{
    Row, count, document, flag, like, list, names, node, object, one_of, short_list, text, whole, with,
};
use super::request::formats;

/// The keys that every message has: `E` of the contract.
pub fn head() -> Vec<Row> {
    vec![
        ("id", like("^[A-Za-z0-9_-]{1,64}$"), "of the job or the command; invalid- and 8 digits if it cannot be read"),
        ("node", node(), "who says it"),
        ("seq", count(), "number of the job's last status"),
        ("time", time(), "absent while the clock is unset"),
        ("v", json!({"const": 1}), "version of the contract"),
    ]
}

/// Why something cannot be.
pub fn fault() -> Vec<Row> {
    vec![
        ("code", names(Code::ALL.iter().map(|code| code.name())), "from a closed list"),
        ("message", message(), "one sentence, at most 160 bytes"),
        ("field", text(), "the field at fault"),
        ("retryable", flag(), "whether the same request may succeed later"),
        ("retry_after_ms", count(), "when to try again"),
    ]
}

/// A status.
pub fn status() -> Value {
    let failed = |state| {
        let rows = [fault(), vec![("images_done", count(), "pictures that were delivered")]].concat();
        let rows = rows.into_iter().filter(|row| !["field", "retry_after_ms"].contains(&row.0)).collect();
        state_of(state, &["code", "message", "retryable", "images_done"], rows)
    };
    let shapes = vec![
        accepted(),
        started(),
        done(),
        failed("failed"),
        failed("cancelled"),
        failed("expired"),
        state_of("rejected", &["code", "message", "retryable"], fault()),
    ];
    document("status", "A status of a job", one_of(shapes))
}

/// How far a job is.
pub fn progress() -> Value {
    let rows = vec![
        ("stage", names(Stage::ALL.map(Stage::name)), "what is being done"),
        ("step", count(), "denoising steps done"),
        ("steps", count(), "denoising steps of the run"),
        ("k", index(), "the picture"),
        ("eta_ms", count(), "until the job is done"),
    ];
    let required = ["stage", "step", "steps", "k", "id", "node", "seq", "v"];
    document("progress", "How far a job is", object(&required, [rows, head()].concat()))
}

/// What the parts of a picture are.
pub fn manifest() -> Value {
    let rows = vec![
        ("k", index(), "the picture"),
        ("format", names(formats()), ""),
        ("width", count(), "pixels"),
        ("height", count(), "pixels"),
        ("stride", count(), "bytes of a row; 0 if the format has no rows"),
        ("rows", count(), "rows of a part; 0 if the format has no rows"),
        ("bytes", count(), "of the whole picture"),
        ("part_bytes", with(count(), json!({"minimum": 1})), "part i starts at byte i*part_bytes"),
        ("parts", with(count(), json!({"minimum": 1})), "parts of the picture"),
        ("sha256", sha256(), "of the whole picture"),
        ("seed", seed(), "that gives the picture again"),
    ];
    let required: Vec<&str> = rows.iter().map(|row| row.0).chain(["id", "node", "seq", "v"]).collect();
    document("manifest", "What the parts of a picture are", object(&required, [rows.clone(), head()].concat()))
}

/// A time as the contract writes it.
pub fn time() -> Value {
    like("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$")
}

fn accepted() -> Value {
    state_of(
        "accepted",
        &["position", "model", "seed", "tokens", "chunks"],
        vec![
            ("position", count(), "jobs before this one"),
            ("eta_ms", count(), "until it is done, if that can be guessed"),
            ("model", text(), "the model that will be used"),
            ("seed", seed(), "of the first picture"),
            ("tokens", count(), "of the prompt"),
            ("chunks", count(), "of 75 tokens"),
            ("warnings", list(text()), "what has no effect, one sentence each"),
        ],
    )
}

fn started() -> Value {
    let rows = vec![("name", text(), ""), ("matched", count(), ""), ("unmatched", count(), "modules without a place")];
    let loras = short_list(object(&["name", "matched", "unmatched"], rows), 4);
    let rows = vec![
        ("attempt", with(count(), json!({"minimum": 1})), "counted from 1"),
        ("loras", loras, "those that the model does not have a place for in whole"),
    ];
    state_of("started", &["attempt"], rows)
}

fn done() -> Value {
    let rows = vec![
        ("k", index(), "the picture"),
        ("seed", seed(), "that gives it again"),
        ("format", names(formats()), ""),
        ("width", count(), "pixels"),
        ("height", count(), "pixels"),
        ("bytes", count(), "of the whole picture"),
        ("sha256", sha256(), "of the whole picture"),
        ("part_bytes", count(), "part i starts at byte i*part_bytes; 0 if it comes whole"),
        ("parts", count(), "0: it comes whole, on image/<k>"),
    ];
    let required: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let images = short_list(object(&required, rows.clone()), usize::from(*Count::RANGE.end()));
    let rows = vec![("queue_ms", count(), "waited"), ("run_ms", count(), "worked"), ("images", images, "the pictures")];
    state_of("done", &["queue_ms", "run_ms", "images"], rows)
}

fn state_of(state: &str, required: &[&str], rows: Vec<Row>) -> Value {
    let first = vec![("state", json!({"const": state}), "")];
    let last = vec![
        ("replay", json!({"const": true}), "it was said before"),
        ("tags", json!({"type": "object", "additionalProperties": text()}), "those of the request"),
    ];
    let required = [&["state", "id", "node", "seq", "v"], required].concat();
    object(&required, [first, head(), rows, last].concat())
}

fn index() -> Value {
    whole(0..=Count::RANGE.end() - 1)
}

fn seed() -> Value {
    whole(Seed::RANGE)
}

fn sha256() -> Value {
    like("^[0-9a-f]{64}$")
}

fn message() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 160})
}
