//! The listening socket of the run.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sglang_process::listen::{self, ListenError};
use sglang_server_args::ServerArgs;

use crate::events::{Event, Events};
use crate::outcome::{LaunchError, Outcome};
use crate::supervisor::stop;

/// How long the processes of a killed launcher may take to end; until then they keep its socket open.
const PATIENCE: Duration = Duration::from_secs(2);
/// Delay between two attempts to listen.
const EVERY: Duration = Duration::from_millis(20);

/// Result of an attempt to listen.
pub(crate) enum Bound {
    /// The socket.
    Listener(TcpListener),
    /// A signal arrived first.
    Stopped(Outcome),
}

/// Listens on the address in the arguments. If the port is in use, waits a little for it. Handles signals meanwhile.
pub(crate) fn bind(args: &ServerArgs, events: &mut Events) -> Result<Bound, LaunchError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match listen::bind(&args.host, args.port) {
            Ok(listener) => return Ok(Bound::Listener(listener)),
            Err(ListenError::PortInUse(_)) if Instant::now() < until => {}
            Err(error) => return Err(error.into()),
        }
        let next = events
            .next(&mut [], None, Some(Instant::now() + EVERY))
            .map_err(|e| LaunchError::System("waiting for the port", e))?;
        if let Event::Signal(signal) = next {
            return Ok(Bound::Stopped(stop(signal)));
        }
    }
}
