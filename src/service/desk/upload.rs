//! Pictures that are sent ahead of the requests that name them.

use std::time::SystemTime;

use super::{Desk, Message};
use crate::job::units::UploadName;
use crate::service::StoreError;

impl Desk {
    /// Keeps a picture for a following request of its client, for ten minutes.
    ///
    /// There is no answer: a request that names a picture which is not here is told so. What is in the picture is
    /// looked at when a request names it.
    pub fn upload(&self, message: &Message, name: &UploadName) -> Result<(), StoreError> {
        let limit = self.rules.now().limits.request_bytes;
        let refused = match message {
            _ if message.retained => Some("it is retained"),
            _ if message.payload.len() > limit => Some("it is larger than limits.request_bytes"),
            _ if self.metered(&message.client).is_err() => Some("its client sends more than it may"),
            _ => None,
        };
        let refused = match refused {
            Some(reason) => Some(reason),
            None => {
                let now = SystemTime::now();
                let kept = self.store.put_upload(&message.client, name.as_str(), &message.payload, now)?;
                (!kept).then_some("the store is full")
            }
        };
        if let Some(reason) = refused {
            tracing::warn!(client = message.client.as_str(), reason, "an upload is not kept");
            self.activity.change(|now| now.ignored += 1);
        }
        Ok(())
    }
}
