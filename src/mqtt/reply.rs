//! Whether answers may go to the Response Topic that a requester asks for.

use crate::job::units::Client;
use crate::job::{Code, Rejection};

/// The prefixes that an operator allows, each some whole levels.
#[derive(Clone, Debug, Default)]
pub struct ReplyPrefixes(Vec<String>);

/// What stands below it at most: two levels, as in `manifest/15` or `part/15.32767`.
const MOST_BYTES: usize = 256 - 16;
const MOST_LEVELS: usize = 8 - 2;

impl ReplyPrefixes {
    /// Prefixes without wildcards, empty levels or a `$` in front.
    pub fn new(prefixes: Vec<String>) -> Result<Self, String> {
        match prefixes.iter().find(|prefix| !is_plain(prefix)) {
            None => Ok(Self(prefixes)),
            Some(wrong) => Err(format!("must be topic levels without + # $ or empty ones, got {wrong:?}")),
        }
    }

    /// The topic below which the answers go: it must lie below an allowed prefix and name the client as a whole level,
    /// or a requester could publish with the node's rights wherever it likes.
    pub fn check(&self, topic: &str, client: &Client) -> Result<String, Rejection> {
        let denied = |why: &str| {
            let message = format!("the response topic {why}, answers go to the reply topics");
            Err(Rejection::new(Code::ReplyTopicDenied, message))
        };
        let below = |prefix: &String| topic.strip_prefix(prefix.as_str())?.strip_prefix('/');
        let Some(own) = self.0.iter().filter_map(below).min_by_key(|own| own.len()) else {
            return denied("is not below a prefix that is allowed here");
        };
        if !is_plain(topic) || topic.len() > MOST_BYTES || topic.split('/').count() > MOST_LEVELS {
            return denied("must be at most 6 plain levels of 240 bytes together");
        }
        if !own.split('/').any(|level| level == client.as_str()) {
            return denied("must name its client as a whole level behind the prefix");
        }
        Ok(topic.to_owned())
    }
}

fn is_plain(topic: &str) -> bool {
    let level = |level: &str| !level.is_empty() && !level.contains(['+', '#']) && !level.chars().any(char::is_control);
    !topic.starts_with('$') && topic.split('/').all(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_only_where_the_operator_and_the_clients_own_name_allow() {
        let prefixes = ReplyPrefixes::new(vec!["answers".to_owned(), "home/art".to_owned()]).unwrap();
        let client = Client::try_from("esp32").unwrap();
        for good in ["answers/esp32", "answers/x/esp32/y", "home/art/esp32"] {
            assert_eq!(prefixes.check(good, &client).as_deref(), Ok(good));
        }
        let long = format!("answers/esp32/{}", "x".repeat(240));
        for bad in [
            "answers",
            "answers/other",
            "answers/esp32x",
            "answersx/esp32",
            "home/esp32",
            "$SYS/esp32",
            "answers/esp32/+",
            "answers/#",
            "answers//esp32",
            "answers/esp32/",
            "homeassistant/esp32",
            "answers/esp32/\0",
            "answers/a/b/c/d/e/esp32",
            &long,
        ] {
            let denied = prefixes.check(bad, &client).unwrap_err();
            assert_eq!(denied.code, Code::ReplyTopicDenied, "{bad}");
        }
        let prefix = Client::try_from("answers").unwrap();
        assert!(prefixes.check("answers/victim", &prefix).is_err(), "a level of the prefix is nobody's name");
        assert!(ReplyPrefixes::default().check("answers/esp32", &client).is_err());
    }

    #[test]
    fn a_prefix_is_plain() {
        for wrong in ["", "a/", "/a", "a/+", "#", "$SYS", "a//b"] {
            assert!(ReplyPrefixes::new(vec![wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
