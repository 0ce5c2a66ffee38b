//! The files of the `--ssl-…` flags and their contents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use sglang_server_args::ServerArgs;

use crate::error::TlsError;
use crate::key::private_key;

/// The paths that the `--ssl-…` flags name, and the password of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    key: PathBuf,
    certificates: PathBuf,
    authorities: Option<PathBuf>,
    password: Option<String>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles")
            .field("key", &self.key)
            .field("certificates", &self.certificates)
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}

/// The parsed contents of the files.
pub(crate) struct Material {
    /// Private key and certificate chain of the server.
    pub(crate) certified: Arc<CertifiedKey>,
    /// The authorities that client certificates are checked against.
    pub(crate) authorities: Option<Arc<RootCertStore>>,
}

/// Modification time and length of each file; `None` if they cannot be read.
pub(crate) type Stamp = Vec<Option<(SystemTime, u64)>>;

impl TlsFiles {
    /// The files of an HTTPS server; `None` if the server speaks plain HTTP.
    pub fn from_server_args(args: &ServerArgs) -> Option<Self> {
        let (key, certificates) = (args.ssl_keyfile.as_ref()?, args.ssl_certfile.as_ref()?);
        Some(Self {
            key: key.into(),
            certificates: certificates.into(),
            authorities: args.ssl_ca_certs.as_ref().map(PathBuf::from),
            password: args.ssl_keyfile_password.clone(),
        })
    }

    /// Reads all files and checks that they fit together.
    ///
    /// # Errors
    /// [`TlsError`], for the first file that cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        self.read().map(drop)
    }

    /// The certificate chain of the server, its own certificate first.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates("ssl-certfile", &self.certificates)
    }

    pub(crate) fn read(&self) -> Result<Material, TlsError> {
        let chain = self.certificates()?;
        let key = private_key(&self.key, self.password.as_deref())?;
        let wrong_key = |why: rustls::Error| TlsError::new("ssl-keyfile", &self.key, why);
        let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(wrong_key)?);
        match certified.keys_match() {
            // For some kinds of key the match cannot be checked.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let why = format!("not the key of the certificate in {}", self.certificates.display());
                return Err(TlsError::new("ssl-keyfile", &self.key, why));
            }
            Err(why) => return Err(TlsError::new("ssl-certfile", &self.certificates, why)),
        }
        let authorities = self.authorities.as_deref().map(authorities).transpose()?;
        Ok(Material { certified: Arc::new(certified), authorities })
    }

    pub(crate) fn wrong_authorities(&self, why: String) -> TlsError {
        TlsError::new("ssl-ca-certs", self.authorities.as_deref().unwrap_or(Path::new("")), why)
    }

    pub(crate) fn stamp(&self) -> Stamp {
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [&self.key, &self.certificates].into_iter().chain(&self.authorities).map(stamp).collect()
    }
}

fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = std::fs::read(path).map_err(|error| TlsError::new(flag, path, error))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| TlsError::new(flag, path, format!("not a PEM file: {error}")))?;
    if all.is_empty() {
        return Err(TlsError::new(flag, path, "expected a PEM file with certificates, found none in it"));
    }
    Ok(all)
}

fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("ssl-ca-certs", path)? {
        store.add(certificate).map_err(|error| TlsError::new("ssl-ca-certs", path, error))?;
    }
    Ok(Arc::new(store))
}
