//! HTTPS, as far as the launcher has to do with it: whether its files can be used, and the warm-up's connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use sglang_server_args::ServerArgs;
#[cfg(feature = "tls")]
use sglang_tls::{TlsFiles, TlsStream};

use crate::outcome::LaunchError;

/// Makes sure that the server can speak HTTPS, if it is to.
#[cfg(feature = "tls")]
pub(crate) fn check(args: &ServerArgs) -> Result<(), LaunchError> {
    let checked = TlsFiles::from_server_args(args).map_or(Ok(()), |files| files.check());
    checked.map_err(|error| LaunchError::Tls(error.to_string()))
}

/// Without TLS in this build no server can.
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
    /// Speaks to the server over `stream` as the arguments say.
    pub(crate) fn open(args: &ServerArgs, stream: TcpStream) -> io::Result<Self> {
        #[cfg(feature = "tls")]
        if let Some(files) = TlsFiles::from_server_args(args) {
            return Ok(Self::Tls(Box::new(sglang_tls::connect(&files, stream)?)));
        }
        let _ = args;
        Ok(Self::Plain(stream))
    }

    /// The connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp(),
        }
    }

    /// To wait on until it can be read.
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
