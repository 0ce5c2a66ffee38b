//! HTTPS by rustls: the files that `--ssl-…` names, what a server makes of them, and the launcher's own connection.
//!
//! The launcher checks the files before it starts anything; the tokenizer manager serves with them, and with
//! `--enable-ssl-refresh` reads them again when they change.

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
