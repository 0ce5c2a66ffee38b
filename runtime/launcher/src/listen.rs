//! The listening socket. The launcher holds it for as long as it runs, so that clients wait and are not refused while
//! the process that accepts on it is replaced.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use nix::sys::socket::{Backlog, listen};

use crate::outcome::LaunchError;

/// Connections the kernel keeps while nobody accepts; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds the first address of `host` that can be bound. `SO_REUSEADDR` is set, so that a port is free again as soon as
/// the last server has ended.
pub(crate) fn bind(host: &str, port: u16) -> Result<TcpListener, LaunchError> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let bad_host = |e| LaunchError::BadHost(host.to_owned(), e);
    let mut error = bad_host(std::io::Error::other("the name has no address"));
    for address in (name, port).to_socket_addrs().map_err(bad_host)? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(e) => {
                error = match e.kind() {
                    ErrorKind::AddrInUse => LaunchError::PortInUse(address),
                    ErrorKind::AddrNotAvailable => bad_host(e),
                    _ => LaunchError::Listen(address, e),
                }
            }
        }
    }
    Err(error)
}

fn bind_address(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // A second listen(2) replaces the standard library's short backlog.
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let first = bind("127.0.0.1", 0).expect("a free port");
        let port = first.local_addr().expect("an address").port();
        let error = bind("127.0.0.1", port).expect_err("taken");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(matches!(error, LaunchError::PortInUse(_)));
    }

    #[test]
    fn a_host_that_is_not_of_this_machine_is_an_error_of_the_flag() {
        for host in ["203.0.113.1", "no such name"] {
            let error = bind(host, 0).expect_err(host);
            assert!(matches!(error, LaunchError::BadHost(..)), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
