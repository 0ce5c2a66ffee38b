//! HTTPS with rustls: loads the files of the `--ssl-…` flags, and provides the server's configuration and the
//! launcher's client connection.
//!
//! The launcher checks the files before it starts any process. The tokenizer manager serves with them and, with
//! `--enable-ssl-refresh`, reloads them when they change.

mod client;
mod error;
mod files;
mod key;
mod server;
mod verifier;

pub use client::{TlsStream, connect};
pub use error::TlsError;
pub use files::TlsFiles;
pub use rustls::ServerConfig;
pub use server::ServerTls;
