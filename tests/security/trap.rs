//! A server that notes every byte that a client entrusts to it, and never answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::pki::Identity;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Default)]
pub struct Caught {
    /// Connections that have ended or said something.
    pub visits: usize,
    /// What was readable on them: behind the encryption, if there is one.
    pub bytes: Vec<u8>,
}

pub struct Trap {
    pub port: u16,
    caught: Arc<Mutex<Caught>>,
}

impl Trap {
    /// Encrypts with this certificate.
    pub fn encrypted(identity: &Identity) -> Self {
        let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        Self::listening(move |stream, noted| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            note(StreamOwned::new(connection, stream), noted);
        })
    }

    /// Does not encrypt.
    pub fn plain() -> Self {
        Self::listening(|mut stream, noted| {
            // As a broker would that is asked in a language it does not speak.
            let _ = stream.write_all(&[0x20, 0x03, 0x00, 0x00, 0x00]);
            note(stream, noted);
        })
    }

    fn listening(serve: impl Fn(TcpStream, &dyn Fn(&[u8])) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let caught = Arc::new(Mutex::new(Caught::default()));
        let sink = Arc::clone(&caught);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                serve(stream, &|bytes| sink.lock().unwrap().bytes.extend(bytes));
                sink.lock().unwrap().visits += 1;
            }
        });
        Self { port, caught }
    }

    pub fn caught(&self) -> Caught {
        self.caught.lock().unwrap().clone()
    }
}

fn note(mut stream: impl Read, noted: &dyn Fn(&[u8])) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        noted(&bytes[..count]);
    }
}
