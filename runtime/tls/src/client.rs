//! The launcher's connection to the server that it started.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::files::TlsFiles;
use crate::verifier::ExactCertificate;

/// An encrypted connection.
#[derive(Debug)]
pub struct TlsStream(StreamOwned<ClientConnection, TcpStream>);

/// Opens a TLS connection over `stream` to a server with the certificate in `files`.
///
/// # Errors
/// The certificate cannot be read, or the server has a different one.
pub fn connect(files: &TlsFiles, stream: TcpStream) -> io::Result<TlsStream> {
    let chain = files.certificates().map_err(io::Error::other)?;
    let expected = chain.into_iter().next().ok_or_else(|| io::Error::other("no certificate"))?;
    let provider = Arc::new(default_provider());
    let verifier = ExactCertificate { expected, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::from(stream.peer_addr()?.ip());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(TlsStream(StreamOwned::new(connection, stream)))
}

impl TlsStream {
    /// The underlying TCP connection.
    pub fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // The server closed the connection without a close_notify alert. HTTP itself detects truncated answers.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
