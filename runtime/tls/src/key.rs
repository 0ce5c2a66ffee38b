//! Private keys, plain and encrypted.

use std::path::Path;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::TlsError;

const FLAG: &str = "ssl-keyfile";
/// PEM label of an encrypted key.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Reads a private key from a PEM file and decrypts it if necessary.
pub(crate) fn private_key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let wrong = |why: String| TlsError::new(FLAG, path, why);
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    if text.contains(&format!("-----BEGIN {ENCRYPTED}-----")) {
        let password =
            password.ok_or_else(|| wrong("the key is encrypted; give --ssl-keyfile-password".into()))?;
        return decrypt(&text, password).map_err(wrong);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(wrong(
            "this old form of encryption is not supported; convert the key with: openssl pkcs8 -topk8 -in KEY -out NEW"
                .into(),
        ));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| wrong(format!("expected a PEM file with a private key: {error}")))
}

fn decrypt(text: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let start = text.find(&format!("-----BEGIN {ENCRYPTED}-----")).unwrap_or_default();
    let footer = format!("-----END {ENCRYPTED}-----");
    let end = text.find(&footer).map_or(text.len(), |at| at + footer.len());
    let section = text.get(start..end).unwrap_or(text);
    let (_, document) =
        SecretDocument::from_pem(section).map_err(|error| format!("not a PEM file: {error}"))?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|error| format!("not an encrypted PKCS#8 key: {error}"))?;
    let plain = encrypted
        .decrypt(password)
        .map_err(|_| "the key cannot be decrypted; is --ssl-keyfile-password right?".to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}
