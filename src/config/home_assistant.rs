//! The table `[home_assistant]`: whether and how the node shows itself to Home Assistant.

use super::reader::Reader;
use crate::job::units::Client;
use crate::mqtt::Topics;
use crate::mqtt::home_assistant::{Form, HomeAssistant, Prefix};

/// What the table holds, if it is switched on; every key is checked in any case.
pub(super) fn home_assistant(reader: &mut Reader, topics: Option<&Topics>) -> Option<HomeAssistant> {
    let mut section = reader.section("home_assistant");
    let enabled = section.flag("enabled", false);
    let prefix = section.text("prefix").unwrap_or_else(|| "homeassistant".to_owned());
    let prefix = Prefix::try_from(prefix.as_str()).map_err(|error| section.fault("prefix", error.to_string())).ok();
    let form = match section.choice("discovery", &["device", "single"]).as_str() {
        "single" => Form::Single,
        _ => Form::Device,
    };
    let client = section.text("client").unwrap_or_else(|| "homeassistant".to_owned());
    let client = Client::try_from(client.as_str()).map_err(|error| section.fault("client", error.message)).ok();
    let area = section.text("suggested_area");
    let settings = prefix.zip(client).map(|(prefix, client)| HomeAssistant { prefix, form, client, area });
    if enabled && settings.as_ref().zip(topics).is_some_and(|(settings, topics)| settings.swallows(topics)) {
        let message = "must not hold the node's topics: Home Assistant would read pictures as devices there";
        section.fault("prefix", message.to_owned());
    }
    section.finish(&[]);
    settings.filter(|_| enabled)
}
