//! How bytes get to the broker: plain or encrypted, bare or through a websocket.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};

use super::verifier::OtherName;

/// How bytes get to the broker; plain TCP unless something is set.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// The path of a websocket's URL, such as `/mqtt`.
    pub websocket: Option<String>,
    /// What an encrypted connection is checked with.
    pub tls: Option<Tls>,
}

impl Transport {
    /// The address and the kind of connection as `rumqttc` wants them.
    pub(super) fn address(&self, host: &str, port: u16) -> (String, rumqttc::Transport) {
        let tls = self.tls.as_ref().map(|tls| TlsConfiguration::Rustls(Arc::clone(&tls.0)));
        let Some(path) = &self.websocket else {
            return (host.to_owned(), tls.map_or(rumqttc::Transport::Tcp, rumqttc::Transport::Tls));
        };
        // An IPv6 address stands in brackets in a URL, and nowhere else.
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match tls {
            None => (format!("ws://{host}:{port}{path}"), rumqttc::Transport::Ws),
            Some(tls) => (format!("wss://{host}:{port}{path}"), rumqttc::Transport::Wss(tls)),
        }
    }
}

/// A checked set of certificates, ready to encrypt with. TLS 1.2 and 1.3, ring's algorithms.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls")
    }
}

/// What an operator gives for an encrypted connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates (PEM) of the authorities that are trusted, and no others; the system's where there is none.
    pub ca: Option<PathBuf>,
    /// Our certificate (PEM), followed by those between it and the authority.
    pub certificate: Option<PathBuf>,
    /// The private key (PEM, without a passphrase) of our certificate.
    pub key: Option<PathBuf>,
    /// The name that the broker's certificate must carry, where it is not the host of the URL.
    pub server_name: Option<String>,
}

/// Which of the [`TlsFiles`] is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    /// The authorities.
    Ca,
    /// Our certificate.
    Certificate,
    /// Its key.
    Key,
    /// The broker's name.
    ServerName,
}

/// Why no encrypted connection can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TlsFault {
    /// What is at fault.
    pub part: TlsPart,
    /// What was expected and what came; never a secret.
    pub message: String,
}

impl Tls {
    /// Reads and checks everything now, so that no fault waits for the first connection. Names every fault.
    pub fn new(files: &TlsFiles) -> Result<Self, Vec<TlsFault>> {
        // Handed to every connection: rustls' process-wide provider is never set.
        let provider = Arc::new(ring::default_provider());
        let mut faults = Vec::new();
        let mut noted = |fault: TlsFault| faults.push(fault);
        let roots = roots(files.ca.as_deref()).map_err(&mut noted).ok();
        let identity = identity(files, &provider).map_err(&mut noted).ok();
        let name = name(files.server_name.as_deref()).map_err(&mut noted).ok();
        match (roots, identity, name) {
            (Some(roots), Some(identity), Some(name)) => config(provider, roots, identity, name)
                .map(|config| Self(Arc::new(config)))
                .map_err(|fault| vec![fault]),
            _ => Err(faults),
        }
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn config(
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    identity: Option<Identity>,
    name: Option<ServerName<'static>>,
) -> Result<ClientConfig, TlsFault> {
    let unfit = |error: &dyn fmt::Display| TlsFault { part: TlsPart::Ca, message: error.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unfit(&error))?;
    let builder = match name {
        None => builder.with_root_certificates(roots),
        Some(name) => {
            let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = OtherName { usual: usual.map_err(|error| unfit(&error))?, name };
            // Called dangerous because a verifier could be careless; this one hands every question to the usual one.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| TlsFault { part: TlsPart::Key, message: error.to_string() }),
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsFault> {
    let fault = |message: String| TlsFault { part: TlsPart::Ca, message };
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file).map_err(fault)? {
                let unusable = |error| fault(format!("{} has an unusable certificate: {error}", file.display()));
                roots.add(certificate).map_err(unusable)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let message = "this system trusts no authority: install its ca-certificates, or name the file of your own";
        return Err(fault(message.to_owned()));
    }
    Ok(roots)
}

/// Our certificate and its key, if there are any; they must belong together.
fn identity(files: &TlsFiles, provider: &CryptoProvider) -> Result<Option<Identity>, TlsFault> {
    let fault = |part, message: String| TlsFault { part, message };
    let (certificate, key) = match (&files.certificate, &files.key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(fault(TlsPart::Certificate, "needs its key beside it".to_owned())),
        (None, Some(_)) => return Err(fault(TlsPart::Key, "needs its certificate beside it".to_owned())),
        (Some(certificate), Some(key)) => (certificate, key),
    };
    let chain = certificates(certificate).map_err(|message| fault(TlsPart::Certificate, message))?;
    let bytes = read(key).map_err(|message| fault(TlsPart::Key, message))?;
    let unfit = |what: &str| fault(TlsPart::Key, format!("{} {what}", key.display()));
    let private =
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| unfit("has no private key in PEM without a passphrase"))?;
    match CertifiedKey::from_der(chain.clone(), private.clone_key(), provider) {
        Ok(_) => Ok(Some((chain, private))),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(unfit(&format!("is not the key of the certificate in {}", certificate.display())))
        }
        Err(rustls::Error::InvalidCertificate(error)) => {
            Err(fault(TlsPart::Certificate, format!("{} has an unusable certificate: {error}", certificate.display())))
        }
        Err(error) => Err(unfit(&format!("has an unusable private key: {error}"))),
    }
}

fn name(name: Option<&str>) -> Result<Option<ServerName<'static>>, TlsFault> {
    let Some(name) = name else { return Ok(None) };
    ServerName::try_from(name.to_owned()).map(Some).map_err(|_| TlsFault {
        part: TlsPart::ServerName,
        message: format!("must be a host name or an address, got {name:?}"),
    })
}

/// At least one certificate.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(format!("{} has no certificate in PEM", file.display())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{} is not PEM: {error}", file.display())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error: io::Error| format!("{} cannot be read: {error}", file.display()))
}
