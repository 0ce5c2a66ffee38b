//! The listening socket, which the launcher binds so that it outlives a restart of the process that accepts on it.

use std::net::TcpListener;

/// The socket inherited from the launcher, if there is one; otherwise the caller binds its own. Call it once.
pub fn inherited_listener() -> Option<TcpListener> {
    crate::inherited::take(crate::LISTEN_FD).map(TcpListener::from)
}
