//! What a broken connection means.

use std::error::Error as AnyError;
use std::io;
use std::time::{Duration, SystemTime};

use rumqttc::v5::mqttbytes::Error;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// The broker's refusal, if that is what went wrong.
pub(super) fn denied(error: &ConnectionError) -> Option<String> {
    use ConnectReturnCode::{BadClientId, BadUserNamePassword, Banned, ClientIdentifierNotValid, NotAuthorized};
    match error {
        ConnectionError::ConnectionRefused(
            code @ (BadClientId | BadUserNamePassword | Banned | ClientIdentifierNotValid | NotAuthorized),
        ) => Some(format!("{code:?}")),
        _ => None,
    }
}

/// Whether another connection has our name.
pub(super) fn taken(error: &ConnectionError) -> bool {
    let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) = error else { return false };
    *reason_code == DisconnectReasonCode::SessionTakenOver
}

/// Whether the broker found our last message too large: its acknowledgement has a reason that the library cannot read.
///
/// Mosquitto's `message_size_limit` does so; it is not told when we connect, as `max_packet_size` is.
pub(super) fn too_large(error: &ConnectionError) -> bool {
    const PACKET_TOO_LARGE: u8 = 0x95;
    match error {
        ConnectionError::MqttState(StateError::Deserialization(Error::InvalidConnectReturnCode(code))) => {
            *code == PACKET_TOO_LARGE
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            *reason_code == DisconnectReasonCode::PacketTooLarge
        }
        _ => false,
    }
}

/// What went wrong; times of certificates and of our clock in words, since a board without a battery begins in 1970.
pub(super) fn sentence(error: &ConnectionError) -> String {
    match tls(error) {
        Some(rustls::Error::InvalidCertificate(unfit)) => certificate(unfit),
        Some(error) => format!("no encrypted connection: {error}"),
        None => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the broker's certificate is valid from {}, but the clock of this machine says {}: is the clock set?",
            moment(*not_before),
            moment(*time)
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the broker's certificate was valid until {}, and the clock of this machine says {}",
            moment(*not_after),
            moment(*time)
        ),
        CertificateError::UnknownIssuer => {
            "the broker's certificate comes from no authority that is trusted here: check the CA file".to_owned()
        }
        other => format!("the broker's certificate is refused: {other}"),
    }
}

fn moment(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "a time beyond counting".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// The fault of the encryption, however deep it lies. An I/O error keeps what it carries apart from its sources.
fn tls<'a>(error: &'a (dyn AnyError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = carried.map(|carried| carried as &(dyn AnyError + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(fault: CertificateError) -> ConnectionError {
        let tls = rustls::Error::InvalidCertificate(fault);
        ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, tls))
    }

    #[test]
    fn a_clock_in_1970_is_named_as_what_is_wrong() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let fault = CertificateError::NotValidYetContext { time: at(62), not_before: at(1_767_225_600) };
        assert_eq!(
            sentence(&broken(fault)),
            "the broker's certificate is valid from 2026-01-01T00:00:00Z, but the clock of this machine says \
             1970-01-01T00:01:02Z: is the clock set?"
        );
    }

    #[test]
    fn other_errors_speak_for_themselves() {
        let error = ConnectionError::Io(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens"));
        assert_eq!(sentence(&error), "I/O: nobody listens");
        assert!(sentence(&broken(CertificateError::UnknownIssuer)).contains("check the CA file"));
    }
}
