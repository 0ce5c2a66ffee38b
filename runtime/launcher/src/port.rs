//! The listening socket of the run.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sglang_process::listen::{self, ListenError};
use sglang_server_args::ServerArgs;

use crate::events::{Event, Events};
use crate::outcome::{LaunchError, Outcome};
use crate::supervisor::stop;

/// How long the processes of a launcher that was killed may take to end: they hold its socket until then.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the port is tried.
const EVERY: Duration = Duration::from_millis(20);

/// What listening came to.
pub(crate) enum Bound {
    /// The socket.
    Listener(TcpListener),
    /// A signal came first.
    Stopped(Outcome),
}

/// Listens where the arguments say. Waits a little for a port that is in use. Signals are answered meanwhile.
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
