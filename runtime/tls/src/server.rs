//! The server's TLS configuration, whose key and certificates can be replaced while the server runs.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto::CryptoProvider};

use crate::error::TlsError;
use crate::files::{Material, Stamp, TlsFiles};
use crate::verifier::ClientVerifier;

/// Presents the newest certificate to clients.
#[derive(Debug)]
struct Newest(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Newest {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

/// Key, certificates and client authorities of a running HTTPS server.
pub struct ServerTls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    newest: Arc<Newest>,
    clients: Option<Arc<ClientVerifier>>,
    /// Stamp of the files when they were last read.
    stamp: Mutex<Stamp>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], for the first file that cannot be used.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        // Taken before reading, so that a change in between is noticed.
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

    /// The rustls configuration. It stays up to date with later calls of [`ServerTls::refresh`].
    ///
    /// # Errors
    /// The provider supports no protocol version, which does not happen.
    pub fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
            None => builder.with_no_client_auth(),
        };
        Ok(builder.with_cert_resolver(self.newest.clone()))
    }

    /// Reloads the files if they have changed; new connections then use them. If the new files are invalid, the old
    /// ones stay in use and the error is returned. `None` if nothing has changed.
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
