//! The server's side: a configuration whose key and certificates can be exchanged while it serves.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto::CryptoProvider};

use crate::error::TlsError;
use crate::files::{Material, Stamp, TlsFiles};
use crate::verifier::ClientVerifier;

/// Gives whoever connects the newest certificate.
#[derive(Debug)]
struct Newest(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Newest {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

/// What a server needs to speak HTTPS.
pub struct ServerTls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    newest: Arc<Newest>,
    clients: Option<Arc<ClientVerifier>>,
    /// Of the files when they were read last.
    stamp: Mutex<Stamp>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], for the first file that cannot be used.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        // Before reading, so that a change in between is seen.
        let stamp = Mutex::new(files.stamp());
        let Material { certified, authorities } = files.read()?;
        let clients = match authorities {
            None => None,
            Some(store) => {
                let verifier = ClientVerifier::new(store, &provider);
                Some(Arc::new(verifier.map_err(|why| files.wrong_authorities(why))?))
            }
        };
        Ok(Self { files, provider, newest: Arc::new(Newest(RwLock::new(certified))), clients, stamp })
    }

    /// The configuration, which goes on to see what [`ServerTls::refresh`] reads.
    ///
    /// # Errors
    /// The provider has no protocol version, which does not happen.
    pub fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
            None => builder.with_no_client_auth(),
        };
        Ok(builder.with_cert_resolver(self.newest.clone()))
    }

    /// Reads the files again if they have changed. New connections get what is new; when it cannot be used, they get
    /// what they got before. `None` when nothing has changed.
    pub fn refresh(&self) -> Option<Result<(), TlsError>> {
        let stamp = self.files.stamp();
        let mut last = self.stamp.lock();
        if *last == stamp {
            return None;
        }
        *last = stamp;
        Some(self.files.read().and_then(|material| self.exchange(material)))
    }

    fn exchange(&self, Material { certified, authorities }: Material) -> Result<(), TlsError> {
        if let (Some(clients), Some(store)) = (&self.clients, authorities) {
            let replaced = clients.replace(store, &self.provider);
            replaced.map_err(|why| self.files.wrong_authorities(why))?;
        }
        *self.newest.0.write() = certified;
        Ok(())
    }
}
