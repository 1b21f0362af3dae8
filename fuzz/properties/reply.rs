//! Answers go only below allowed prefixes, to topics that name their client.

use diffused::mqtt::ReplyPrefixes;

use super::draw::Draw;
use super::ground::client;

const LEVELS: &[&str] =
    &["answers", "home", "art", "esp32", "esp32x", "x", "", "+", "#", "$SYS", "\0", "ü", "\u{202e}"];

pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut draw = Draw(rest);
    let prefixes = ReplyPrefixes::new(vec!["answers".to_owned(), "home/art".to_owned()]).expect("good prefixes");
    let topic = if kind % 2 == 0 {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        let levels: Vec<&str> =
            std::iter::from_fn(|| (!draw.is_done()).then(|| draw.one_of(LEVELS))).take(12).collect();
        levels.join("/")
    };
    if let Ok(allowed) = prefixes.check(&topic, &client()) {
        assert_eq!(allowed, topic, "it is used as it is");
        assert!(topic.starts_with("answers/") || topic.starts_with("home/art/"), "{topic}");
        assert!(topic.split('/').any(|level| level == "esp32"), "{topic}");
        assert!(!topic.split('/').any(str::is_empty) && !topic.contains(['+', '#', '\0']), "{topic}");
        let longest = format!("{topic}/part/15.32767");
        assert!(longest.len() <= 256 && longest.split('/').count() <= 8, "{topic}");
    }
    if let Ok(prefixes) = ReplyPrefixes::new(vec![topic.clone()]) {
        assert!(!topic.contains(['+', '#']) && !topic.starts_with('$'), "{topic}");
        let _ = prefixes.check(&format!("{topic}/esp32"), &client());
    }
}
