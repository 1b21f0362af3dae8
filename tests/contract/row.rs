//! One bad message and what must become of it.

use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// Which topic a message goes to; the last level is the client, one for each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Door {
    Request,
    Command,
    Admin,
}

impl Door {
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Command => "command",
            Self::Admin => "admin",
        }
    }
}

/// What becomes of a message: `done`, or a code and its field.
pub struct Row {
    pub what: String,
    pub door: Door,
    pub payload: Vec<u8>,
    pub code: &'static str,
    pub field: String,
    pub qos: u8,
    pub retained: bool,
    /// MQTT 5 only; a row that has them is left out on MQTT 3.1.1.
    pub properties: Option<PublishProperties>,
    /// A picture that is uploaded before under this name.
    pub upload: Option<(&'static str, Vec<u8>)>,
}

/// The code of a row that must be served.
pub const DONE: &str = "done";

impl Row {
    pub fn new(payload: impl Into<Vec<u8>>, code: &'static str, field: &str) -> Self {
        let payload = payload.into();
        let what = String::from_utf8_lossy(&payload[..payload.len().min(100)]).into_owned();
        let (field, properties, upload) = (field.to_owned(), None, None);
        Self { what, door: Door::Request, payload, code, field, qos: 1, retained: false, properties, upload }
    }

    /// A request for `x` with this member besides.
    pub fn with(member: &str, code: &'static str, field: &str) -> Self {
        Self::new(format!(r#"{{"prompt":"x",{member}}}"#), code, field)
    }

    pub fn to(self, door: Door) -> Self {
        Self { door, ..self }
    }

    pub fn qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    pub fn retained(self) -> Self {
        Self { retained: true, ..self }
    }

    pub fn properties(self, properties: PublishProperties) -> Self {
        Self { properties: Some(properties), ..self }
    }

    pub fn after_upload(self, name: &'static str, file: &[u8]) -> Self {
        Self { upload: Some((name, file.to_vec())), ..self }
    }
}
