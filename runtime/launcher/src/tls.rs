//! HTTPS in the launcher: checks the files, and opens the connection of the warm-up.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use sglang_server_args::ServerArgs;
#[cfg(feature = "tls")]
use sglang_tls::{TlsFiles, TlsStream};

use crate::outcome::LaunchError;

/// Checks that the server can use HTTPS, if the arguments request it.
#[cfg(feature = "tls")]
pub(crate) fn check(args: &ServerArgs) -> Result<(), LaunchError> {
    let checked = TlsFiles::from_server_args(args).map_or(Ok(()), |files| files.check());
    checked.map_err(|error| LaunchError::Tls(error.to_string()))
}

/// Returns an error if the arguments request HTTPS: this build has no TLS.
#[cfg(not(feature = "tls"))]
pub(crate) fn check(args: &ServerArgs) -> Result<(), LaunchError> {
    match &args.ssl_certfile {
        None => Ok(()),
        Some(file) => Err(LaunchError::Tls(format!(
            "--ssl-certfile {file}: this program was built without TLS (cargo feature tls)"
        ))),
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) enum Connection {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Connection {
    /// Opens a connection over `stream`, with TLS if the arguments request it.
    pub(crate) fn open(args: &ServerArgs, stream: TcpStream) -> io::Result<Self> {
        #[cfg(feature = "tls")]
        if let Some(files) = TlsFiles::from_server_args(args) {
            return Ok(Self::Tls(Box::new(sglang_tls::connect(&files, stream)?)));
        }
        let _ = args;
        Ok(Self::Plain(stream))
    }

    /// The underlying TCP connection.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp(),
        }
    }

    /// The descriptor to poll until it is readable.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.tcp().as_fd()
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
