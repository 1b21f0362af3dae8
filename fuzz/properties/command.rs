//! A command or an order of an administrator is read, or refused with an answer within the contract's bounds.

use diffused::job::Code;
use diffused::job::command::{Admin, COMMANDS, Command, RefusedCommand};
use diffused::service::Reporter;
use serde_json::Value;

use super::draw::Draw;
use super::ground::assert_answer;

const FIELDS: &[(&str, &[&str])] = &[
    ("v", &["1"]),
    ("id", &["\"c1\""]),
    ("command", &["\"cancel\"", "\"get\"", "\"list\"", "\"repeat\"", "\"pause\"", "\"clear\"", "\"drain\""]),
    ("job", &["\"a1\"", "\"*\""]),
    ("k", &["0", "15"]),
    ("parts", &["[[3,5],9]", "[0]"]),
    ("what", &["\"jobs\"", "\"models\"", "\"adapters\""]),
    ("after", &["\"a0\""]),
    ("limit", &["1", "32"]),
];

const LIMIT: usize = 4096;

pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let drawn = Value::Object(Draw(rest).object(FIELDS)).to_string();
    let payload = if kind % 2 == 0 { rest } else { drawn.as_bytes() };
    let is_large = payload.len() > LIMIT;
    for retained in [false, true] {
        let (command, admin) = (Command::parse(payload, retained, LIMIT), Admin::parse(payload, retained, LIMIT));
        assert!(command.is_err() || admin.is_err(), "no word is both");
        let admins = Admin::ALL.map(Admin::name);
        for (refused, words) in [(command.err(), &COMMANDS[..]), (admin.err(), &admins[..])] {
            let Some(RefusedCommand { command, id, rejection }) = refused else {
                assert!(!retained && !is_large, "it should not even have been read");
                continue;
            };
            assert!(command.is_empty() || words.contains(&command), "{command} is no word of ours");
            assert_eq!(retained, rejection.code == Code::RetainedRequest);
            assert_answer(&Reporter::new("jet1").refused(command, id.as_deref(), &rejection));
        }
    }
}
