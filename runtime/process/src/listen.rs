//! The listening socket. The launcher binds it, so that clients wait instead of being refused while the accepting
//! process is restarted. A process started by hand binds its own.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, sockopt};

use crate::failure::Failure;

/// Connections that the kernel queues while no process accepts them; limited by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host is not an address of this machine.
    #[error("--host {0}: {1}; give an address of this machine, such as 127.0.0.1 or 0.0.0.0")]
    BadHost(String, io::Error),
    /// The port is already in use.
    #[error("port {} of {} is already in use; choose another with --port, or end the process that listens there",
        .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The system reported another error.
    #[error("cannot listen on {0}: {1}")]
    Refused(SocketAddr, io::Error),
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::BadHost(..) => Failure::of_input(error),
            ListenError::PortInUse(_) | ListenError::Refused(..) => Failure::of_system(error),
        }
    }
}

/// The socket inherited from the launcher, if there is one; otherwise the caller binds its own. Call it once.
pub fn inherited_listener() -> Option<TcpListener> {
    crate::inherited::take(crate::LISTEN_FD).map(TcpListener::from)
}

/// Listens on the first address of `host` that can be bound. An empty host means every interface, for IPv6 and IPv4.
/// Sets `SO_REUSEADDR`, so that a port is free again as soon as the last server has ended.
///
/// # Errors
/// The host is not an address of this machine, the port is in use, or the system reports another error.
pub fn bind(host: &str, port: u16) -> Result<TcpListener, ListenError> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return bind_everywhere(port);
    }
    let bad_host = |e| ListenError::BadHost(host.to_owned(), e);
    let mut error = bad_host(io::Error::other("the name has no address"));
    for address in (name, port).to_socket_addrs().map_err(bad_host)? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(e) if e.kind() == ErrorKind::AddrNotAvailable => error = bad_host(e),
            Err(e) => error = refused(address, e),
        }
    }
    Err(error)
}

fn refused(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        ErrorKind::AddrInUse => ListenError::PortInUse(address),
        _ => ListenError::Refused(address, error),
    }
}

/// One socket for both families, or for IPv4 only if the system has no IPv6.
fn bind_everywhere(port: u16) -> Result<TcpListener, ListenError> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match bind_both_families(port) {
        Ok(listener) => Ok(listener),
        Err(e) if e.kind() == ErrorKind::AddrInUse => Err(refused(v6, e)),
        Err(_) => bind_address(v4).map_err(|e| refused(v4, e)),
    }
}

fn bind_both_families(port: u16) -> io::Result<TcpListener> {
    let fd = socket::socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // Regardless of net.ipv6.bindv6only.
    socket::setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    let address = std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
    socket::bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // A second listen(2) replaces the standard library's short backlog.
    socket::listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn port(listener: &TcpListener) -> u16 {
        listener.local_addr().expect("an address").port()
    }

    #[test]
    fn a_port_in_use_is_named() {
        for host in ["127.0.0.1", ""] {
            let first = bind(host, 0).expect("a free port");
            let error = bind(host, port(&first)).expect_err("taken");
            assert!(error.to_string().contains(&port(&first).to_string()), "{error}");
            assert!(matches!(error, ListenError::PortInUse(_)));
        }
    }

    #[test]
    fn a_host_that_is_not_of_this_machine_is_an_error_of_the_flag() {
        for host in ["203.0.113.1", "no such name"] {
            let error = bind(host, 0).expect_err(host);
            assert!(matches!(error, ListenError::BadHost(..)), "{error}");
        }
    }

    #[test]
    fn an_empty_host_is_every_interface_of_both_families() {
        for host in ["", "[]"] {
            let listener = bind(host, 0).expect("a free port");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port(&listener))).expect("reached over IPv4");
            // A machine without IPv6 cannot bind its loopback address.
            if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
                TcpStream::connect((Ipv6Addr::LOCALHOST, port(&listener))).expect("reached over IPv6");
            }
        }
    }
}
